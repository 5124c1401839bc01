"""What the manifest says of one image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_ddu.apis.map_files import MapWriter

UNUSUAL = 0.95
MAX_REASON = 500


def good_row(
    name: str,
    path: Path,
    files: dict[str, str],
    arrays: Mapping[str, np.ndarray],
    writer: MapWriter,
) -> dict:
    """The row of an exported image.

    Args:
        name (str): Of its outputs.
        path (Path): The image.
        files (dict[str, str]): What was written.
        arrays (Mapping[str, np.ndarray]): The maps, (H, W) each.
        writer (MapWriter): With their scales.
    """
    height, width = arrays['epistemic'].shape
    row: dict[str, Any] = dict(
        name=name, image=str(path), height=height, width=width, files=files
    )
    for key, values in arrays.items():
        row[f'{key}_mean'] = float(values.mean())
        row[f'{key}_max'] = float(values.max())
        row[f'{key}_clipped'] = writer.scales[key].clipped_share(values)
    if 'percentile' in arrays:
        row['unusual_share'] = float((arrays['percentile'] > UNUSUAL).mean())
    return row


def error_row(name: str, path: Path, reason: str) -> dict:
    """The row of an image that was left out."""
    return dict(name=name, image=str(path), error=reason[:MAX_REASON])


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
    }
    if 'percentile' in writer.scales:
        numbers.add('unusual_share')
    expected = {'name', 'image', 'height', 'width', 'files'} | numbers
    if set(row) != expected:
        return False
    name, shape = row['name'], (row['height'], row['width'])
    return (
        row['image'] == str(path)
        and all(type(side) is int and side > 0 for side in shape)
        and math.prod(shape) <= max_pixels
        and all(type(row[key]) in (int, float) for key in numbers)
        and row['files'] == writer.files(name, writer.scales)
        and writer.has_whole(name, writer.scales, shape)
    )
