"""What has changed of the look of images: fine structure, or light."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.image_statistics import LEVELS, ImageStatistics

Array = np.ndarray
LIGHT_NAMES = ('brightness', 'cast', 'contrast', 'colour')
FINE_NAMES = ('details_1', 'details_2', 'details_4')
LOOK_NAMES = (*LIGHT_NAMES, *FINE_NAMES)
STRUCTURE, LIGHT = 'fine structure', 'light or colours'
LEAST_BEFORE = 50  # images, for a covariance
CHANCE = 1e-3
SMALLEST = 1e-6  # variance


def looks_of(channels: int) -> Tensor:
    """How seven numbers follow from :class:`ImageStatistics`.

    In the order of ``LOOK_NAMES``: the mean of the channels; that of the first
    channel less that of the last; the log variance of means over 16 x 16
    pixels; the log variance of differences between channels, less the
    contrast; the log variance of details of 1, of 2 and of 4 pixels, each
    less that of details of 8 pixels. Variances are means over channels. The
    last three do not change where the values of a channel are scaled.

    Args:
        channels (int): C. With one channel there is no colour: zeros.

    Returns:
        Tensor: (S, 7), to multiply statistics (N, S) with.
    """
    parts = torch.eye(2 + LEVELS).repeat_interleave(channels, 0) / channels
    blank = torch.zeros(channels - 1, 2 + LEVELS)
    mean, contrast, *details, last = torch.cat([parts, blank]).unbind(1)
    cast, colour = torch.zeros(2, ImageStatistics(channels).size)
    if channels > 1:
        cast[0], cast[channels - 1] = 1, -1
        colour[1 - channels :] = 1 / (channels - 1)
        colour = colour - contrast
    fine = [each - last for each in details]
    return torch.stack([mean, cast, contrast, colour, *fine], 1)


def chance(before: Array, now: Array) -> float:
    """How likely means differ so much if nothing has changed.

    Hotelling's test with the covariance of the images before, of which there
    should be many: the squared Mahalanobis distance of the two means has a
    chi-squared distribution.

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


def cause(before: Array, now: Array, least: float = CHANCE) -> str | None:
    """``STRUCTURE`` (noise, blur, compression), ``LIGHT``, or unclear.

    Light and colours leave the fine structure as it is, while noise changes
    differences between channels too: so it is asked first whether the fine
    structure has changed, and only if not, whether the others have.

    Args:
        before (Array): (M, 7); with fewer than 50 images the answer is None.
        now (Array): (N, 7), of the images since the change.
        least (float): Chance below which it is no chance.
    """
    if len(before) < LEAST_BEFORE or not len(now):
        return None
    split = len(LIGHT_NAMES)
    if chance(before[:, split:], now[:, split:]) < least:
        return STRUCTURE
    changed = chance(before[:, :split], now[:, :split]) < least
    return LIGHT if changed else None
