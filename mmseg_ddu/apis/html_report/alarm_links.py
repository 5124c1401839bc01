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
    lines, settings = _read(monitor)
    if images is None:
        return drift_content(lines, settings)
    stream = read_stream(next(iter(folders.values())))
    names = {each['name']: n for n, each in enumerate(images['images'])}
    places = {each.key: names.get(each.name) for each in stream.images}
    if not any(line['key'] in places for line in lines):
        raise ValueError(
            f'{monitor} has seen none of the images of {stream.source}; give '
            'the state of the monitor that watched them.'
        )
    for line in lines:
        place = places.get(line['key'])
        if line['alarms'] and place is not None:
            words = [f'Alarm: {alarm["words"]}' for alarm in line['alarms']]
            images['images'][place]['alarms'] = words
    return drift_content(lines, settings, places)


def _read(monitor: Path) -> tuple[list[dict], dict[str, Any]]:
    """Lines and settings."""
    if monitor.suffix == '.jsonl':
        monitor = monitor.with_suffix('.json')
    if not monitor.is_file():
        raise FileNotFoundError(
            f'There is no state of a monitor {monitor}; run tools/monitor.py '
            'first.'
        )
    files = MonitorFiles(monitor)
    lines, _ = files.read({}, [NOVELTY, UNUSUAL])
    return lines, files.settings
