"""The export of one image."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import nn

from mmseg_ddu.apis.image_files import check_image
from mmseg_ddu.apis.inference import loaded_pixels, prepare
from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.visualization.maps import sample_classes, sample_maps

from .rows import error_row, good_row

MAX_PIXELS = 64_000_000


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
        image = loaded_pixels(model, path) if writer.pictures else None
    except Exception as error:  # whatever a decoder makes of a damaged file
        return _left_out(name, path, 'cannot be read', error)
    # What is sampled does not depend on the images before.
    torch.manual_seed(zlib.crc32(os.fsencode(name)))
    try:
        with torch.no_grad():
            sample = model.test_step(data)[0]
        arrays = sample_maps(sample, model)
        classes = sample_classes(sample)
    except Exception as error:
        if not _works(model):
            raise
        return _left_out(name, path, 'is too much for the network', error)
    files = writer.write(name, image, classes, arrays)
    return good_row(name, path, files, arrays, writer)


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
    reason = f'{type(error).__name__}: {error}'
    MMLogger.get_current_instance().warning(
        f'{str(path)!r} {why} and is skipped: {reason!r}'
    )
    return error_row(name, path, reason)
