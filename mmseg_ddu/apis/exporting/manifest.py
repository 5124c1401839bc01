"""What a manifest holds, and whether one from elsewhere is sound."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.fileio import read_json
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE

MANIFEST = 'manifest.json'
TOTAL_PERCENTILE = f'total{PERCENTILE}'
UNUSUAL = 0.95
CLASS_PIXELS = 'class_pixels'  # index of a class to its pixels
MAX_PIXELS = 64_000_000
MAX_SIDE = 1 << 16  # of what a report reads
Form = dict | list | Callable[[Any], bool]


def read_manifest(folder: Path) -> dict:
    """Read ``manifest.json``; files that it names lie in its folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, lists no image, or names files outside
            its folder.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no {path}; run tools/export_uncertainty.py first.'
        )
    damaged = f'{path} is damaged; export the maps again.'
    manifest = read_json(path, lambda value: has_form(value, FORM), damaged)
    rows = [row for row in manifest['images'] if 'files' in row]
    if not rows:
        raise ValueError(f'{path} lists no exported image.')
    for row in rows:
        for file in row['files'].values():
            if not (folder / file).resolve().is_relative_to(folder.resolve()):
                raise ValueError(f'{path} names {file}, outside its folder.')
    return manifest


def still_good(
    row: dict, path: Path, writer: MapWriter, max_pixels: int
) -> bool:
    """Whether the row of an earlier run is that of an image, done and whole.

    The row may come from anywhere, but for its name, which is that of one of
    the images: no path in it is used, it must name the files that would be
    written now.
    """
    numbers = {
        f'{key}_{what}'
        for key in writer.scales
        for what in ('mean', 'max', 'clipped')
    } | {'lost_share'}
    if TOTAL_PERCENTILE in writer.scales:
        numbers |= {'unusual_share', NOVELTY, NOVELTY + PERCENTILE}
    others = {'name', 'image', 'height', 'width', 'files', CLASS_PIXELS}
    if set(row) != others | numbers:
        return False
    shape = row['height'], row['width']
    return (
        row['image'] == str(path)
        and all(type(side) is int and side > 0 for side in shape)
        and math.prod(shape) <= max_pixels
        and all(is_number(row[key]) for key in numbers)
        and _are_counts(row[CLASS_PIXELS])
        and row['files'] == writer.files(row['name'])
        and writer.has_whole(row['name'], shape)
    )


def has_form(value: Any, form: Form) -> bool:
    """Whether JSON from anywhere is as a form has it.

    Args:
        value: Of JSON.
        form: A test; a list with the form of all items; or a dict with the
            forms of keys, of which those that end in ``?`` may be missing.
    """
    if isinstance(form, list):
        (item,) = form
        return isinstance(value, list) and all(
            has_form(each, item) for each in value
        )
    if not isinstance(form, dict):
        return form(value)
    return isinstance(value, dict) and all(
        has_form(value[key], inner) if key in value else name.endswith('?')
        for name, inner in form.items()
        for key in [name.removesuffix('?')]
    )


def is_text(value: Any) -> bool:
    """Whether JSON is a string."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether JSON is a number, and not true or false."""
    return type(value) in (int, float)


def _is_color(value: Any) -> bool:
    levels = isinstance(value, list) and len(value) == 3
    return levels and all(type(v) is int and 0 <= v <= 255 for v in value)


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(
        re.fullmatch('[0-9]{1,3}', key) and _is_side(count, MAX_SIDE**2)
        for key, count in value.items()
    )


def _is_side(value: Any, most: int = MAX_SIDE) -> bool:
    return type(value) is int and 1 <= value <= most


def _are_maps(value: Any) -> bool:
    there = isinstance(value, dict) and set(MAPS) <= set(value)
    return there and all(has_form(scale, SCALE) for scale in value.values())


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict) or 'files' not in value:
        return isinstance(value, dict)
    return (
        has_form(value, ROW)
        and all(map(is_text, value['files'].values()))
        and Path(value['files']['class']).parts[:1] == ('class',)
    )


ROW: Form = {
    'files': {'class': is_text},
    'image': is_text,
    'height': _is_side,
    'width': _is_side,
    'name?': is_text,
    'lost_share?': is_number,
    'unusual_share?': is_number,
    f'{CLASS_PIXELS}?': _are_counts,
    f'{NOVELTY}?': is_number,
    f'{NOVELTY}{PERCENTILE}?': is_number,
    **{f'{name}_mean': is_number for name in MAPS},
}
SCALE: Form = dict(unit=is_text, png_low=is_number, png_high=is_number)
FORM: Form = dict(
    maps=_are_maps,
    classes=[is_text],
    palette=[_is_color],
    images=[_is_row],
)
