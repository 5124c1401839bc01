"""The kind of a label error is the one that was drawn."""

import numpy as np
import pytest

from mmseg_ddu.apis.ranking.error_kind import NAMES, error_kind
from mmseg_ddu.apis.ranking.worst_region import worst_region

TALL, WIDE, VOID = 150, 200, 255
SKY, CAT, DOG = 0, 2, 4
ROWS, COLUMNS = np.indices((TALL, WIDE))


def disk(y, x, radius):
    return (ROWS - y) ** 2 + (COLUMNS - x) ** 2 <= radius**2


def box(top, bottom, left, right):
    rows = (top <= ROWS) & (bottom > ROWS)
    return rows & (left <= COLUMNS) & (right > COLUMNS)


def scene(*objects):
    """Sky below, then objects: mask and class."""
    drawn = np.full((TALL, WIDE), SKY)
    for mask, number in objects:
        drawn[mask] = number
    return drawn


CATS, DOGS = (disk(70, 60, 25), CAT), (box(90, 140, 130, 180), DOG)
TRUTH = scene(CATS, DOGS)
POLE, BAR = box(20, 130, 100, 104), box(10, 130, 85, 115)
DRAWN = {
    'missing object': [
        (scene(DOGS), TRUTH),
        (TRUTH, scene(CATS, DOGS, (POLE, CAT))),  # thin, but no border
        (scene((disk(70, 60, 45), DOG)), scene((disk(70, 60, 45), DOG), CATS)),
    ],
    'extra object': [
        (scene(CATS, DOGS, (disk(40, 130, 20), CAT)), TRUTH),
        (scene(CATS, DOGS, (POLE, CAT)), TRUTH),
    ],
    'swapped class': [
        (scene((CATS[0], DOG), DOGS), TRUTH),
        (scene((disk(72, 58, 25), DOG), DOGS), TRUTH),  # a border is not exact
        (scene((POLE, DOG)), scene((POLE, CAT))),
    ],
    'wrong border': [
        (scene((disk(70, 60, 31), CAT), DOGS), TRUTH),  # too wide
        (scene((disk(70, 60, 18), CAT), DOGS), TRUTH),  # too narrow
        (scene((disk(70, 68, 25), CAT), DOGS), TRUTH),  # one of two is moved
    ],
    'shifted mask': [
        (np.roll(TRUTH, (9, -8), (0, 1)), TRUTH),
        (np.roll(TRUTH, 12, 1), TRUTH),
    ],
    'unclear': [
        # A long object whose end has no label, or no prediction.
        (scene((BAR & (ROWS < 80), DOG)), scene((BAR, DOG))),
        (scene((BAR, DOG)), scene((BAR & (ROWS < 80), DOG))),
    ],
}


def region_and_pair(labels, predicted, known):
    differ = (labels != predicted) & known
    region, _ = worst_region(differ.astype(np.float32), differ)
    values, counts = np.unique(
        [labels[region], predicted[region]], axis=1, return_counts=True
    )
    return region, values[:, counts.argmax()]


def outlines(labels):
    """Void borders, as in Pascal VOC."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            edge |= np.roll(labels, step, axis) != labels
    return edge


@pytest.mark.parametrize('void', [False, True])
@pytest.mark.parametrize('turn', [0, 1])
@pytest.mark.parametrize(
    'kind, number',
    [(kind, n) for kind, each in DRAWN.items() for n in range(len(each))],
)
def test_what_was_drawn_is_named(kind, number, turn, void):
    labels, predicted = (np.rot90(x, turn) for x in DRAWN[kind][number])
    known = np.ones(labels.shape, bool)
    if void:
        known &= ~outlines(np.rot90(TRUTH, turn))
    labels = np.where(known, labels, VOID)
    region, pair = region_and_pair(labels, predicted, known)
    assert error_kind(region, pair, labels, predicted, known) == kind


def test_every_kind_is_drawn():
    assert set(DRAWN) == set(NAMES)


def test_a_piece_of_the_region_says_the_same():
    """The worst pixels are often a part of what is wrong."""
    known = np.ones((TALL, WIDE), bool)
    for kind, drawn in DRAWN.items():
        for labels, predicted in drawn:
            region, pair = region_and_pair(labels, predicted, known)
            of_pair = (labels == pair[0]) & (predicted == pair[1])
            rows, columns = np.nonzero(region & of_pair)
            piece = np.zeros_like(region)
            piece[rows[:9], columns[:9]] = True
            found = error_kind(piece, pair, labels, predicted, known)
            assert found == kind


def test_a_prediction_that_agrees_is_unclear():
    known = np.ones((TALL, WIDE), bool)
    piece = disk(70, 60, 5)
    assert error_kind(piece, (CAT, CAT), TRUTH, TRUTH, known) == 'unclear'


def test_unlabelled_pixels_count_in_no_share():
    """Most of an object without a label: what is labelled of it decides."""
    labels = scene((CATS[0], DOG), DOGS)
    known = ~(CATS[0] & (COLUMNS > 45))
    labels[~known] = VOID
    piece = CATS[0] & known
    assert error_kind(piece, (DOG, CAT), labels, TRUTH, known) == (
        'swapped class'
    )


@pytest.mark.parametrize('top', [0, 40])
def test_at_the_edge_as_in_the_middle(top):
    """A shift must not push an error out of the image."""
    labels = np.zeros((100, 150), np.int64)
    predicted = labels.copy()
    predicted[top : top + 9, 40:80] = 1
    known = np.ones_like(labels, bool)
    found = region_and_pair(labels, predicted, known)
    assert error_kind(*found, labels, predicted, known) == 'missing object'
