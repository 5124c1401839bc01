"""Whether the fine structure of images has changed, or their light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .errors import require
from .image_statistics import LEVELS

Array = np.ndarray
LEAST_BEFORE = 50  # images, for a covariance
CHANCE = 1e-3
SMALLEST = 1e-6  # variance


def is_whole(size: int) -> bool:
    """Whether the statistics of an image can be so many numbers."""
    return size > 0 and (size + 1) % (3 + LEVELS) == 0


def fine_structure(statistics: Array) -> Array:
    """Three numbers that light and colours leave as they are.

    The log variances of details of 1, 2 and 4 pixels, each less that of
    details of 8 pixels, means over the channels. They do not change where all
    values are scaled and shifted; noise, blur and compression change them.

    Args:
        statistics (Array): (N, S), of
            :class:`~mmseg_ddu.core.image_statistics.ImageStatistics`.

    Returns:
        Array: (N, 3), float64.
    """
    statistics = np.asarray(statistics, np.float64)
    channels = (statistics.shape[1] + 1) // (3 + LEVELS)
    start, stop = 2 * channels, (2 + LEVELS) * channels
    details = statistics[:, start:stop].reshape(-1, LEVELS, channels).mean(2)
    return details[:, :-1] - details[:, -1:]


def has_changed(
    before: Sequence[Sequence[float]], now: Sequence[Sequence[float]]
) -> bool | None:
    """Whether means differ by more than chance; None if nobody can say.

    Hotelling's test with the covariance of the images before, of which there
    should be many: the squared Mahalanobis distance of the two means has a
    chi-squared distribution; that is rough with few images before: a chance
    of 1 in 1,000 is one of 1 in 250 with 50.

    Args:
        before (Sequence): (M, K); with fewer than 50 images the answer is
            None.
        now (Sequence): (N, K), of the images since the change.
    """
    if len(before) < LEAST_BEFORE or not len(now):
        return None
    return chance(np.array(before), np.array(now)) < CHANCE


def chance(before: Array, now: Array) -> float:
    """How likely means differ so much if nothing has changed.

    Args:
        before (Array): (M, K), M above K.
        now (Array): (N, K), of at least one image.
    """
    size = before.shape[1]
    enough = len(before) > size and len(now) > 0
    require(enough, f'more than {size} images, and 1', (len(before), len(now)))
    gap = now.mean(0) - before.mean(0)
    covariance = np.cov(before, rowvar=False).reshape(size, size)
    covariance += SMALLEST * np.eye(size)  # of what never varies
    distance = gap @ np.linalg.solve(covariance, gap)
    distance /= 1 / len(before) + 1 / len(now)
    half = torch.tensor([size, distance], dtype=torch.float64) / 2
    return float(torch.special.gammaincc(half[0], half[1]))
