"""The page itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mmseg_ddu.apis.compare.results_file import RESULTS, strict
from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.apis.page_templates import write_page
from mmseg_ddu.core.errors import require
from mmseg_ddu.fileio import require_writable_file
from mmseg_ddu.models.map_names import MAPS

from .alarm_links import drift_of
from .browser_data import browser
from .comparison import comparison
from .ranking import read_ranking
from .truth import truth_from_config, truth_from_masks

PAGE = 'report.html'
LAYERS = ('prediction', 'error', *MAPS)


def write_report(
    results_dir: str | os.PathLike,
    *,
    maps: Mapping[str, str | os.PathLike] | None = None,
    out: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    masks: str | os.PathLike | None = None,
    ranking: str | os.PathLike | None = None,
    monitor: str | os.PathLike | None = None,
    max_images: int = 60,
    title: str = 'Uncertainty report',
    cfg_options: dict | None = None,
) -> Path:
    """Write one HTML file that needs no other file and no network.

    Args:
        results_dir (str): A comparison (``tools/compare_uncertainty.py``),
            exported maps (``tools/export_uncertainty.py``), or both.
        maps (Mapping[str, str], optional): Name of a method to a folder of
            exported maps; all of the same images.
        out (str, optional): ``report.html`` in ``results_dir``.
        config (str, optional): The annotated classes of exported images are
            those of its test images.
        masks (str, optional): They are PNG files of class indices here.
        ranking (str, optional): CSV file that orders the images
            (``tools/rank_images.py``).
        monitor (str, optional): State or log of ``tools/monitor.py``, for
            its control charts.
        max_images (int): Most images in the page: the first ones of the
            ranking, or else the most unusual ones.
        title (str): Heading of the page.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: If there is nothing to report.
        OSError: If the file cannot be written.
        ValueError: If ``config`` and ``masks`` are both given, or the ranking
            or the monitor is of other images.
    """
    require(max_images >= 1, 'max_images to be at least 1', max_images)
    results_dir = Path(results_dir)
    folders = {name: Path(folder) for name, folder in (maps or {}).items()}
    if (results_dir / MANIFEST).is_file():
        folders = {results_dir.resolve().name: results_dir, **folders}
    compared = (results_dir / RESULTS).is_file()
    if not compared and not folders:
        raise FileNotFoundError(
            f'There is neither {RESULTS} (tools/compare_uncertainty.py) nor '
            f'{MANIFEST} (tools/export_uncertainty.py) in {results_dir}.'
        )
    if config is not None and masks is not None:
        raise ValueError('Expected config or masks, but got both.')
    if ranking is not None and not folders:
        raise ValueError(f'There are no exported maps for {ranking} to order.')
    path = results_dir / PAGE if out is None else Path(out)
    require_writable_file(path)
    truth = None if masks is None else truth_from_masks(masks)
    if config is not None:
        truth = truth_from_config(config, cfg_options)
    order = None if ranking is None else read_ranking(Path(ranking))
    images = drift = None
    if folders:
        images = browser(folders, truth, max_images, order)
    if monitor is not None:
        drift = drift_of(Path(monitor), folders, images)
    pictures = _pictures_apart(images) if images else []
    write_page(
        path,
        'page.html',
        title=title,
        table=comparison(results_dir) if compared else None,
        images=images,
        drift=drift,
        data=script_json(images),
        pictures=pictures,
    )
    return path


def _pictures_apart(images: dict) -> list[tuple[str, str]]:
    """Take the pictures out of the data: the photo of each image, and those
    of its layers, as JSON that is parsed only where it is looked at.
    """
    found = []
    for place, image in enumerate(images['images']):
        rows = [method['images'][place] for method in images['methods']]
        layers = [{name: row.pop(name) for name in LAYERS} for row in rows]
        others = dict(truth=image.pop('truth'), methods=layers)
        found.append((script_json(image.pop('photo')), script_json(others)))
    return found


def script_json(value: object) -> str:
    """JSON that can stand in a script element."""
    text = json.dumps(strict(value), separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c')
