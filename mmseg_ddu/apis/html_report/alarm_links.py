"""The charts of a monitor, for the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_ddu.apis.monitoring.drift_page import drift_content
from mmseg_ddu.apis.monitoring.monitor_files import MonitorFiles
from mmseg_ddu.apis.monitoring.watched_images import UNUSUAL, read_stream
from mmseg_ddu.models.map_names import NOVELTY


def drift_of(
    monitor: Path, folders: Mapping[str, Path], images: dict | None
) -> dict[str, Any]:
    """What ``tools/monitor.py`` wrote, its alarms linked to images and back.

    Args:
        monitor (Path): Its state, or the log beside it.
        folders (Mapping[str, Path]): The exports; it watched the first.
        images (dict, optional): Of the page; they are told their alarms.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or of other images.
    """
    if monitor.suffix == '.jsonl':
        monitor = monitor.with_suffix('.json')
    if not monitor.is_file():
        raise FileNotFoundError(
            f'There is no state of a monitor {monitor}; run tools/monitor.py '
            'first.'
        )
    lines, state = MonitorFiles(monitor).read({}, [NOVELTY, UNUSUAL])
    places: dict[str, int | None] = {}
    if images is not None:
        stream = read_stream(next(iter(folders.values())))
        names = {each['name']: n for n, each in enumerate(images['images'])}
        places = {x['key']: names.get(x['name']) for x in stream.images}
        if not any(line['key'] in places for line in lines):
            raise ValueError(
                f'{monitor} has seen none of the images of {stream.source}; '
                'give the state of the monitor that watched them.'
            )
        for line in lines:
            place = places.get(line['key'])
            if line['alarms'] and place is not None:
                words = [f'Alarm: {x["words"]}' for x in line['alarms']]
                images['images'][place]['alarms'] = words
    return drift_content(lines, state['settings'], places)
