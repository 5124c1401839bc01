"""The worst pixels of an image, and where most of them lie together."""

from __future__ import annotations

import math

import cv2
import numpy as np

WORST_SHARE = 0.02  # of the pixels that count
Box = tuple[int, int, int, int]


def worst_pixels(values: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of the highest values, and which pixels have them.

    Args:
        values (np.ndarray): (H, W); NaN where a pixel does not count.

    Returns:
        tuple: Mean over the worst share of the pixels that count, one of
        them at least; (H, W) bool, those pixels and all as bad as the best
        of them.
    """
    counted = values[~np.isnan(values)]
    number = math.ceil(WORST_SHARE * len(counted))
    worst = np.partition(counted, -number)[-number:]
    # A comparison with NaN is false.
    return float(worst.mean(dtype=np.float64)), values >= worst.min()


def worst_region(
    values: np.ndarray, worst: np.ndarray
) -> tuple[np.ndarray, Box]:
    """The connected pixels among the worst whose values sum up to most.

    Args:
        values (np.ndarray): (H, W), not negative where they count.
        worst (np.ndarray): (H, W) bool, of :func:`worst_pixels`.

    Returns:
        tuple: (H, W) bool, and the box around it: left, top, width, height.
    """
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(
        worst.astype(np.uint8), connectivity=8
    )
    weights = np.where(worst, values, 0)
    sums = np.bincount(parts.ravel(), weights.ravel(), len(boxes))
    part = 1 + int(sums[1:].argmax())
    left, top, width, height, _ = boxes[part].tolist()
    return parts == part, (left, top, width, height)
