"""Scores as 8-bit levels that are fine where scores are rare.

Level 255 is a pixel without a score. The others part the pixels of all
images: half of them what is below the 90th percentile, half of them what is
above, up to one pixel in ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmseg_ddu.visualization.prediction import is_lost

LOST = 255
SAMPLES = 2_000_000
# Of the pixels that are not above the upper end of a level.
SHARES = np.concatenate(
    [np.linspace(0, 0.9, 128)[1:], 1 - np.geomspace(0.1, 1e-4, 128)[1:], [1]]
)


def shrink_scores(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Means over areas of the pixels that have a score.

    Args:
        values (np.ndarray): (H, W).
        size (tuple): (h, w).

    Returns:
        np.ndarray: (h, w) float32, infinite where most have none.
    """
    lost = is_lost(values)
    kept = np.stack([np.where(lost, 0, values), ~lost], 2).astype(np.float32)
    total, share = np.moveaxis(
        cv2.resize(kept, size[::-1], interpolation=cv2.INTER_AREA), 2, 0
    )
    mean = total / np.maximum(share, 1e-6)
    return np.where(share > 0.5, mean, np.float32(np.inf))


def level_bounds(maps: Sequence[np.ndarray]) -> np.ndarray:
    """The upper ends of the levels, which are quantiles of the pixels.

    Args:
        maps (Sequence[np.ndarray]): Of :func:`shrink_scores`.

    Returns:
        np.ndarray: (255,) ascending, in the unit of the maps.
    """
    pixels = thinned(maps)
    pixels = pixels[np.isfinite(pixels)]
    return np.quantile(pixels if pixels.size else np.zeros(1), SHARES)


def thinned(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Every so-manieth pixel of all maps, two million of them."""
    step = max(1, sum(values.size for values in maps) // SAMPLES)
    return np.concatenate([values.ravel()[::step] for values in maps])


def to_levels(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The first level whose upper end is no lower than a value, as uint8."""
    levels = np.searchsorted(bounds, values, side='left')
    levels = np.minimum(levels, len(bounds) - 1)
    return np.where(np.isfinite(values), levels, LOST).astype(np.uint8)
