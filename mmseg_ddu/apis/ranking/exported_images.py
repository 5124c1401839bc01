"""Exported images by how uncertain they are."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from mmseg_ddu.apis.exporting.exported_maps import Export
from mmseg_ddu.apis.exporting.one_image import REFUSED_SHARE
from mmseg_ddu.apis.monitoring.watched_images import (
    header_of,
    require_same_fit,
)
from mmseg_ddu.core.bounds import is_lost
from mmseg_ddu.core.errors import require
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.models.map_names import NOVELTY, PERCENTILE

from .found_images import FoundImages
from .ranked_image import RankedImage
from .worst_region import worst_pixels, worst_region

# The share of training images that are at least as strange as an image below
# which it counts less; by the rule of benchmarks/decisions/overlap_strength.
RARE = 0.01
# What --score takes, and the map whose mean over the image it is. Densities
# can be negative, their percentiles cannot.
SCORES = dict(
    total='total', entropy='aleatoric', epistemic='epistemic' + PERCENTILE
)


def rank_exported(
    manifests: Sequence[str | os.PathLike], score: str, overlap: bool
) -> FoundImages:
    """All images of exports of one fit, with their scores.

    Args:
        manifests (Sequence): ``manifest.json`` files or their folders.
        overlap (bool): Multiply the score by :func:`overlap_weight`.

    Raises:
        ValueError: If exports are of different fits, or lack the score.
    """
    require(score in SCORES, f'score of {tuple(SCORES)}', score)
    exports = [_open(Path(path)) for path in manifests]
    headers = [header_of(export) for export in exports]
    for header in headers[1:]:
        require_same_fit(header, headers[0], header.source)
    sources = [header.source for header in headers]
    found = FoundImages(
        headers[0].classes, dict(manifests=sources, score=score)
    )
    needed = [f'{SCORES[score]}_mean']
    needed += [NOVELTY + PERCENTILE] * overlap
    seen: set[str] = set()
    for export in exports:
        for row in export.manifest['images']:
            path = str(row.get('image'))
            if 'files' not in row:
                why = f'it was not exported: {row.get("error")!r}'
                found.leave_out(path, why)
            elif os.path.abspath(path) in seen:
                found.leave_out(path, 'it is in two exports')
            else:
                seen.add(os.path.abspath(path))
                export.require_fitted(row, needed)
                value, *strange = (float(row[name]) for name in needed)
                value *= math.prod(map(overlap_weight, strange))
                _add(found, export, row, value, SCORES[score])
    return found


def _open(path: Path) -> Export:
    if path.suffix in ('.py', '.pth'):
        raise ValueError(
            f'{path} is not exported maps. Write them with '
            'tools/export_uncertainty.py and give their folder; only label '
            'errors take CONFIG and CHECKPOINT.'
        )
    return Export(path)


def overlap_weight(percentile: float, rare: float = RARE) -> float:
    """How much an image is worth that may be none of the kind at all.

    1, but for the strangest: of an image like the training images 1 -
    ``rare`` / 2 on average, and 0 of one beyond them all. With ``rare`` = 1
    it is the weight of Jesson et al., *Causal-BALD*, 2021, of what is not
    labelled, with the share stranger for their p (``docs/ranking.md``).

    Args:
        percentile (float): Share of training images less strange.
        rare (float): The share stranger below which the weight falls.
    """
    return min(max(1 - percentile, 0.0) / rare, 1.0)


def _add(
    found: FoundImages, export: Export, row: dict, score: float, what: str
) -> None:
    """An image whose region is only looked for if it is chosen."""
    if not math.isfinite(score):
        found.leave_out(row['image'], 'its score is not a number')
        return
    key = row['files']['class']
    found.images.append(
        RankedImage(
            image=row['image'],
            score=score,
            size=(row['height'], row['width']),
            read_classes=lambda: np.asarray(export.load(key, 'class')),
            refused_share=row.get(REFUSED_SHARE, 0.0),
            find_region=cache(partial(_region, found, export, key, what)),
        )
    )


def _region(found: FoundImages, export: Export, key: str, what: str) -> tuple:
    """Box and prediction where the map is highest; none without a map."""
    files, classes = export.rows[key]['files'], export.load(key, 'class')
    file = next((f for f in (what, f'{what}_png') if f in files), None)
    if file is None:
        return None, ''
    values = np.asarray(export.load(key, file), np.float64)
    lost = is_lost(values)  # they have no part in the score either
    values = np.where(lost & ~lost.all(), np.nan, values)
    region, box = worst_region(values, worst_pixels(values)[1])
    classes = np.asarray(classes)[region]
    kept = classes[classes != VOID]
    counts = np.bincount(kept if kept.size else classes)
    return box, found.name(int(counts.argmax()))
