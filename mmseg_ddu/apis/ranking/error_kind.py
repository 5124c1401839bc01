"""Which kind of label error a region looks like, by its geometry.

The rule was written before it was run on anything. The region is labelled as
one class and predicted as another. Take the connected part of the labelled
class and that of the predicted class that hold most of it; pixels without a
label belong to the nearest one that has one, but count in no share. Then the
first that is true of

1. *shifted mask*: moved by up to 10% of the shorter side, the labels differ
   from the prediction in at most half as large a share of the pixels, and in
   at most half as many of those that stay in the image (added later: else an
   error at the edge went by being moved out);
2. *wrong border*: where the two parts overlap is at most half as thick as
   either of them (thickness: of the largest disk inside);
3. *swapped class*: at least half of either part differs, so that what is
   labelled there and what is predicted there are about the same object;
4. *missing object*: at least half of the predicted part is labelled as
   something else, while most of the labelled part is also predicted so;
5. *extra object*: at least half of the labelled part is predicted as
   something else, while most of the predicted part is also labelled so;

and *unclear* if none is, or if the region is predicted as it is labelled.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SHIFTED, BORDER = 'shifted mask', 'wrong border'
SWAPPED, MISSING, EXTRA = 'swapped class', 'missing object', 'extra object'
UNCLEAR = 'unclear'
NAMES = (SHIFTED, BORDER, SWAPPED, MISSING, EXTRA, UNCLEAR)

HALF = 0.5
FARTHEST = 0.1  # of the shorter side, that labels may be moved
MOVED_SIDE = 128  # pixels of the shorter side, at most, while moving


def error_kind(
    region: np.ndarray,
    pair: Sequence[int],
    labels: np.ndarray,
    predicted: np.ndarray,
    known: np.ndarray,
) -> str:
    """One of ``NAMES``, by the rule above.

    Args:
        region (np.ndarray): (H, W) bool, of :func:`worst_region`.
        pair (Sequence[int]): Label and prediction of most of the region.
        labels, predicted (np.ndarray): (H, W), integers.
        known (np.ndarray): (H, W) bool, where labels count.
    """
    label, said = pair
    if label == said:
        return UNCLEAR
    if _fits_when_moved(labels, predicted, known):
        return SHIFTED
    labels = _filled(labels, known)
    here = region & (labels == label) & (predicted == said)
    labelled = _part(labels == label, here)
    seen = _part(predicted == said, here)
    thinner = min(_thickness(labelled), _thickness(seen))
    if _thickness(labelled & seen) <= HALF * thinner:
        return BORDER
    unseen = (predicted[labelled & known] != label).mean() >= HALF
    unlabelled = (labels[seen & known] != said).mean() >= HALF
    if unseen and unlabelled:
        return SWAPPED
    if unlabelled:
        return MISSING
    return EXTRA if unseen else UNCLEAR


def _fits_when_moved(
    labels: np.ndarray, predicted: np.ndarray, known: np.ndarray
) -> bool:
    """Whether some shift halves the share of the pixels that differ."""
    step = -(-min(labels.shape) // MOVED_SIDE)
    labels, predicted, known = (
        np.ascontiguousarray(each[::step, ::step])
        for each in (labels, predicted, known)
    )
    farthest = round(FARTHEST * min(labels.shape))
    before = (labels != predicted) & known
    most = HALF * before[known].mean()
    shifts = range(-farthest, farthest + 1)
    for down, right in ((y, x) for y in shifts for x in shifts):
        of_labels = _window(down), _window(right)
        of_predicted = _window(-down), _window(-right)
        counted = known[of_labels]
        differ = (labels[of_labels] != predicted[of_predicted]) & counted
        limit = min(
            most * np.count_nonzero(counted),
            HALF * np.count_nonzero(before[of_labels]),
            HALF * np.count_nonzero(before[of_predicted]),
        )
        if limit and np.count_nonzero(differ) <= limit:
            return True
    return False


def _window(shift: int) -> slice:
    """What stays in the image of what is moved by so many pixels."""
    return slice(shift, None) if shift > 0 else slice(None, shift or None)


def _filled(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The nearest label for each pixel without one, (H, W)."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8),
        cv2.DIST_L2,
        cv2.DIST_MASK_5,
        labelType=cv2.DIST_LABEL_PIXEL,
    )
    values = np.zeros(nearest.max() + 1, labels.dtype)
    values[nearest[known]] = labels[known]
    return values[nearest]


def _part(mask: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The connected part of a mask that holds most of some of its pixels."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return parts == np.bincount(parts[here]).argmax()


def _thickness(mask: np.ndarray) -> float:
    """Radius of the largest disk inside, in pixels."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    return float(distances.max())
