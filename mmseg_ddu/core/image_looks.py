"""What has changed of the look of images: fine structure, or light."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .errors import require
from .image_statistics import LEVELS, ImageStatistics

Array = np.ndarray
LOOKS = ('brightness', 'cast', 'contrast', 'colour', 'fine structure')
FINE = LOOKS.index('fine structure')
STRUCTURE, LIGHT = 'fine structure', 'light or colours'
LEAST_BEFORE = 20  # images, for a standard deviation
LEAST_MOVE = 3.0  # standard errors


def looks_of(channels: int) -> Tensor:
    """How five numbers follow from :class:`ImageStatistics`.

    In the order of ``LOOKS``: the mean of the channels; that of the first
    channel less that of the last; the log variance of means over 16 x 16
    pixels; the log variance of differences between channels, less the
    contrast; the log variance of details of 1 pixel, less that of 8 pixels.
    All but the first, the second and the fourth are means over channels. The
    last two do not change where all values are scaled.

    Args:
        channels (int): C. With one channel there is no colour: zeros.

    Returns:
        Tensor: (S, 5), to multiply statistics (N, S) with.
    """
    parts = torch.eye(2 + LEVELS).repeat_interleave(channels, 0) / channels
    blank = torch.zeros(channels - 1, 2 + LEVELS)
    mean, coarse, first, *_, last = torch.cat([parts, blank]).unbind(1)
    cast, colour = torch.zeros(2, ImageStatistics(channels).size)
    if channels > 1:
        cast[0], cast[channels - 1] = 1, -1
        colour[1 - channels :] = 1 / (channels - 1)
        colour = colour - coarse
    return torch.stack([mean, cast, coarse, colour, first - last], 1)


def moves(before: Array, now: Array) -> Array:
    """How far the mean has moved, in standard errors.

    The standard error is that of a difference of two means, with the
    standard deviation of the images before.

    Args:
        before (Array): (M, 5), of at least two images.
        now (Array): (N, 5), of at least one.

    Returns:
        Array: (5,), signed.
    """
    require(len(before) > 1 and len(now) > 0, '2 images, and 1', len(before))
    spread = np.maximum(before.std(0, ddof=1), 1e-9)
    gap = now.mean(0) - before.mean(0)
    return gap / spread / np.sqrt(1 / len(now) + 1 / len(before))


def changed_look(moved: Array, least: float = LEAST_MOVE) -> int | None:
    """Which number to name, of :func:`moves`.

    Fine structure if it has moved by at least ``least`` standard errors:
    light and colours leave it as it is, while noise moves the differences
    between channels too. Else the one of the others that has moved farthest,
    if as far; or None.

    Example:
        >>> LOOKS[changed_look(np.array([0.1, 0, 1, 9, 4]))]
        'fine structure'
        >>> LOOKS[changed_look(np.array([-8.0, 0, 1, 1, 0]))]
        'brightness'
    """
    sizes = np.abs(moved)
    if sizes[FINE] >= least:
        return FINE
    sizes[FINE] = 0
    return int(sizes.argmax()) if sizes.max() >= least else None


def cause(before: Array, now: Array) -> str | None:
    """``STRUCTURE`` (noise, blur, compression), ``LIGHT``, or unclear.

    Args:
        before (Array): (M, 5); with fewer than 20 images the answer is None.
        now (Array): (N, 5), of the images since the change.
    """
    if len(before) < LEAST_BEFORE or not len(now):
        return None
    found = changed_look(moves(before, now))
    if found is None:
        return None
    return STRUCTURE if found == FINE else LIGHT
