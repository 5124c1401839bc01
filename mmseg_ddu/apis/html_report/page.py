"""The page itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import jinja2

from mmseg_ddu.apis.compare.results_file import RESULTS, strict
from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.version import __version__

from .browser_data import browser
from .comparison import comparison
from .truth import truth_from_config, truth_from_masks

PAGE = 'report.html'
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / 'parts'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(
    results_dir: str | os.PathLike,
    *,
    maps: Mapping[str, str | os.PathLike] | None = None,
    out: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    masks: str | os.PathLike | None = None,
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
        max_images (int): Most images in the page, the most unusual ones.
        title (str): Heading of the page.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: If there is nothing to report.
        ValueError: If ``config`` and ``masks`` are both given.
    """
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
    truth = None if masks is None else truth_from_masks(masks)
    if config is not None:
        truth = truth_from_config(config, cfg_options)
    images = browser(folders, truth, max_images) if folders else None
    html = TEMPLATES.get_template('page.html').render(
        title=title,
        version=__version__,
        table=comparison(results_dir) if compared else None,
        images=images,
        data=script_json(images),
    )
    path = results_dir / PAGE if out is None else Path(out)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding='utf-8')
    return path


def script_json(value: object) -> str:
    """JSON that can stand in a script element."""
    text = json.dumps(strict(value), separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c')
