"""The table and the curves of a comparison, for the page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from mmseg_ddu.apis.compare.curves import draw_curves
from mmseg_ddu.apis.compare.results_file import read_results
from mmseg_ddu.apis.compare.results_tables import (
    cell,
    columns,
    lower_is_better,
    value_of,
)

from .encode import data_uri

CURVES = {
    'risk_coverage': 'Risk against coverage',
    'reliability': 'Reliability',
    'histograms': 'Scores of right, wrong and strange pixels',
    'trio': 'Accurate and certain over the threshold (void ignored)',
    'trio_void_wrong': 'The same, void counted as an error',
    'trio_pixels': 'The same on single pixels',
}


def comparison(folder: Path) -> dict:
    """What ``tools/compare_uncertainty.py`` wrote, as the page shows it."""
    content = read_results(folder)
    methods = content['methods']
    return dict(
        protocol=content['protocol'],
        complete=content.get('complete', True),
        headings=list(columns(methods).values()),
        rows=table_rows(methods, content.get('default')),
        failed={
            name: entry['error']
            for name, entry in methods.items()
            if 'error' in entry
        },
        figures=figures(folder, methods),
    )


def table_rows(methods: dict[str, dict], default: str | None) -> list[dict]:
    """Rows of cells: ``text``, ``value`` (to sort by), ``best`` of all."""
    rows = [dict(name=n, default=n == default, cells=[]) for n in methods]
    for key in columns(methods):
        values = [value_of(entry, key) for entry in methods.values()]
        best = best_of(key, values)
        for row, value in zip(rows, values):
            text = cell(key, value)
            shown = dict(text=text, value=value, best=text == best)
            row['cells'].append(shown)
    return rows


def best_of(key: str, values: list[float | None]) -> str | None:
    """The best figure of a column as written; None if all are the same."""
    there = [value for value in values if value is not None]
    if len({cell(key, value) for value in there}) < 2:
        return None
    return cell(key, (min if lower_is_better(key) else max)(there))


def figures(folder: Path, methods: dict[str, dict]) -> list[dict]:
    """The pictures of the curves; drawn if the folder has none."""
    with tempfile.TemporaryDirectory() as temporary:
        if not any((folder / f'{name}.png').is_file() for name in CURVES):
            folder = Path(temporary)
            draw_curves(methods, folder)
        found = []
        for name, title in CURVES.items():
            file = folder / f'{name}.png'
            if file.is_file():
                with Image.open(file) as picture:
                    wide = picture.width > 2 * picture.height
                uri = data_uri('image/png', file.read_bytes())
                found.append(dict(title=title, uri=uri, wide=wide))
        return found
