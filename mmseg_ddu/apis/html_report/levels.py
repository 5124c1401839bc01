"""Scores as 256 levels of equal share: a grey value is a percentile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVELS = 256
SAMPLES = 2_000_000


def level_bounds(maps: Sequence[np.ndarray]) -> np.ndarray:
    """The 255 quantiles between the levels, over the pixels of all maps.

    Large sets are thinned evenly to two million pixels.

    Args:
        maps (Sequence[np.ndarray]): Of any shapes.

    Returns:
        np.ndarray: (255,) ascending, in the unit of the maps.
    """
    total = sum(values.size for values in maps)
    step = max(1, total // SAMPLES)
    pixels = np.concatenate([values.ravel()[::step] for values in maps])
    shares = np.arange(1, LEVELS) / LEVELS
    return np.quantile(pixels[np.isfinite(pixels)], shares)


def to_levels(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The number of bounds below each value, as uint8.

    A pixel is above the p-th percentile if its level is at least 2.56 p; of
    equal values none is above the others.
    """
    return np.searchsorted(bounds, values, side='left').astype(np.uint8)


def level_values(bounds: np.ndarray) -> list[float]:
    """The value at the lower edge of each level, six digits."""
    edges = np.concatenate([bounds[:1], bounds])
    return [float(f'{value:.6g}') for value in edges]
