"""The export of one image, and its row in the manifest."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_ddu.apis.image_files import check_image
from mmseg_ddu.apis.inference import loaded_pixels, prepare
from mmseg_ddu.apis.json_form import has_form, is_index, is_number, is_text
from mmseg_ddu.apis.writers import MapWriter
from mmseg_ddu.apis.writers.own_formats import ABSTAIN
from mmseg_ddu.core.bounds import WORST, is_lost
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.models.map_names import NOVELTY, PERCENTILE, STATISTICS
from mmseg_ddu.visualization.prediction import (
    sample_classes,
    sample_maps,
    sample_novelty,
    sample_statistics,
)

TOTAL_PERCENTILE = f'total{PERCENTILE}'
CLASS_PIXELS = 'class_pixels'  # index of a class to its pixels
REFUSED_SHARE = 'refused_share'
UNUSUAL = 0.95
MAX_REASON = 500


def export_one(
    model: nn.Module, writer: MapWriter, name: str, path: Path, max_pixels: int
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
    if ABSTAIN in writer.formats:
        row[REFUSED_SHARE] = float((classes == VOID).mean())
    predicted = sample.pred_sem_seg.data.cpu()  # refused or not
    found, pixels = np.unique(predicted, return_counts=True)
    row[CLASS_PIXELS] = dict(zip(map(str, found.tolist()), pixels.tolist()))
    return dict(row, files=writer.write(name, photo, classes, maps))


def is_done(
    row: dict, files: Mapping[str, Path], writer: MapWriter, max_pixels: int
) -> bool:
    """Whether the row of an earlier run is that of an image, done and whole.

    The row may come from anywhere: no path in it is used, it must name the
    image, and the files that would be written now.
    """
    numbers = ['lost_share']
    for key in writer.scales:
        numbers += [f'{key}_mean', f'{key}_max', f'{key}_clipped']
    form: dict = {CLASS_PIXELS: are_counts, 'files': {}}
    form |= dict(name=is_text, image=is_text, height=is_index, width=is_index)
    if TOTAL_PERCENTILE in writer.scales:
        numbers += ['unusual_share', NOVELTY, NOVELTY + PERCENTILE]
        form[STATISTICS] = [is_number]
    if ABSTAIN in writer.formats:
        numbers.append(REFUSED_SHARE)
    form |= dict.fromkeys(numbers, is_number)
    if row.keys() != form.keys() or not has_form(row, form):
        return False
    name, shape = row['name'], (row['height'], row['width'])
    return (
        name in files
        and row['image'] == str(files[name])
        and 0 < math.prod(shape) <= max_pixels
        and row['files'] == writer.files(name)
        and writer.has_whole(name, shape)
    )


def are_counts(value: object) -> bool:
    """Whether JSON can be the pixels of each class."""
    return isinstance(value, dict) and all(
        re.fullmatch('[0-9]{1,3}', key) and is_index(count) and count
        for key, count in value.items()
    )


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
        row[STATISTICS] = sample_statistics(sample)
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
