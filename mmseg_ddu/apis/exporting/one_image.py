"""The export of one image, and its row in the manifest."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_ddu.apis.image_files import check_image
from mmseg_ddu.apis.image_sources import reason
from mmseg_ddu.apis.inference import loaded_pixels, prepare
from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.visualization.prediction import (
    is_lost,
    sample_classes,
    sample_maps,
    sample_novelty,
)

from .manifest import CLASS_PIXELS, MAX_PIXELS, TOTAL_PERCENTILE, UNUSUAL

MAX_REASON = 500


def export_one(
    model: nn.Module,
    writer: MapWriter,
    name: str,
    path: Path,
    max_pixels: int = MAX_PIXELS,
) -> dict:
    """Predict and write one image; its row in the manifest."""
    try:
        check_image(path, max_pixels)
        data = prepare(model, path)
        photo = loaded_pixels(model, path) if writer.needs_photo else None
    except Exception as error:  # whatever a decoder makes of a damaged file
        return _left_out(name, path, 'cannot be read', error)
    # What is sampled does not depend on the images before.
    torch.manual_seed(zlib.crc32(os.fsencode(name)))
    try:
        with torch.no_grad():
            sample = model.test_step(data)[0]
        maps = sample_maps(sample)
        classes = sample_classes(sample)
    except Exception as error:
        if not _works(model):
            raise
        return _left_out(name, path, 'is too much for the network', error)
    row = dict(name=name, image=str(path), **_numbers(sample, maps, writer))
    found, pixels = np.unique(classes, return_counts=True)
    row[CLASS_PIXELS] = dict(zip(map(str, found.tolist()), pixels.tolist()))
    return dict(row, files=writer.write(name, photo, classes, maps))


def _numbers(
    sample: SegDataSample, maps: dict[str, np.ndarray], writer: MapWriter
) -> dict[str, Any]:
    """Size and scores of an image; pixels without a score only count."""
    height, width = maps['total'].shape
    row: dict[str, Any] = dict(height=height, width=width)
    for key, scale in writer.scales.items():
        values = maps[key][~is_lost(maps[key])]
        if not values.size:
            values = np.full(1, WORST)
        row[f'{key}_mean'] = float(values.mean())
        row[f'{key}_max'] = float(values.max())
        row[f'{key}_clipped'] = scale.clipped_share(maps[key])
    row['lost_share'] = float(is_lost(maps['total']).mean())
    if TOTAL_PERCENTILE in maps:
        unusual = maps[TOTAL_PERCENTILE] > UNUSUAL
        row['unusual_share'] = float(unusual.mean())
    return dict(row, **sample_novelty(sample))


def _works(model: nn.Module) -> bool:
    """Whether the network predicts an ordinary image."""
    grey = np.full((256, 256, 3), 128, np.uint8)
    try:
        with torch.no_grad():
            model.test_step(prepare(model, grey))
    except Exception:
        return False
    return True


def _left_out(name: str, path: Path, why: str, error: Exception) -> dict:
    MMLogger.get_current_instance().warning(
        f'{str(path)!r} {why} and is skipped: {reason(error)!r}'
    )
    return dict(name=name, image=str(path), error=reason(error)[:MAX_REASON])
