"""Which pixels to keep so that few of those kept are wrong.

A threshold on an uncertainty map keeps the pixels that are not above it. The
promise is about images, not about pixels: over new images that are like those
of the calibration, wrong pixels among those kept have at most the share
``error``, where each image counts with the shares of its labelled pixels.

Conformal risk control (Angelopoulos et al. 2022, arXiv 2208.02814) keeps the
promise on average over calibration sets, for images in random order
(exchangeable); learn then test (Angelopoulos et al. 2021, arXiv 2110.01052)
for a share ``confidence`` of the sets, for images drawn independently.
A pixel without a score is kept by no threshold.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import torch
from torch import Tensor

from .bounds import LOST, is_lost

STEP = 0.02  # nats between two thresholds
LEVELS = 1001  # the last keeps all that has a score; LEVELS itself nothing
BET = 0.9  # of what may be staked
STARTS = (0.8,)  # shares of training pixels that tests begin with


def thresholds() -> Tensor:
    """(LEVELS,) of a map in nats of surprise; the last is above all."""
    values = STEP * torch.arange(LEVELS, dtype=torch.float32)
    values[-1] = LOST
    return values


def count_errors(
    scores: Tensor, classes: Tensor, labels: Tensor, void: int
) -> Tensor:
    """What the labelled pixels of an image add to each threshold.

    Args:
        scores (Tensor): In nats of surprise, any shape.
        classes, labels (Tensor): The same shape.
        void (int): The label that counts in nothing.

    Returns:
        Tensor: (K, 4) int64 on the CPU, one row for each class and level
        that occurs: predicted class, lowest level that keeps the pixels
        (``LEVELS`` if none does), number of pixels, number of wrong ones.
    """
    known = labels != void
    scores, classes, labels = scores[known], classes[known], labels[known]
    level = torch.bucketize(scores, thresholds().to(scores))
    level = level.where(~is_lost(scores), LEVELS)
    wrong = (classes != labels).long()
    key = 2 * (classes.long() * (LEVELS + 1) + level) + wrong
    key, count = key.cpu().unique(return_counts=True)
    cell, where = (key // 2).unique(return_inverse=True)
    rows = torch.zeros(len(cell), 4, dtype=torch.int64)
    rows[:, 0], rows[:, 1] = cell // (LEVELS + 1), cell % (LEVELS + 1)
    rows[:, 2].index_add_(0, where, count)
    rows[:, 3].index_add_(0, where, count * (key % 2))
    return rows


def shares(
    images: Sequence[Tensor], of_class: int | None = None
) -> tuple[Tensor, Tensor]:
    """Shares of each image that a threshold keeps, and keeps wrongly.

    Args:
        images (Sequence[Tensor]): Of :func:`count_errors`.
        of_class (int, optional): Count pixels predicted as this class alone;
            images without any are left out, as are those without labels.

    Returns:
        tuple: Kept and wrong, (N, LEVELS) float64 each.
    """
    found = []
    for rows in images:
        if of_class is not None:
            rows = rows[rows[:, 0] == of_class]
        if len(rows):
            both = torch.zeros(2, LEVELS + 1, dtype=torch.float64)
            both.index_add_(1, rows[:, 1], rows[:, 2:].T.double())
            found.append(both[:, :LEVELS].cumsum(1) / rows[:, 2].sum())
    if not found:
        empty = torch.zeros(0, LEVELS, dtype=torch.float64)
        return empty, empty
    kept, wrong = torch.stack(found, 1)
    return kept, wrong


def level_on_average(kept: Tensor, wrong: Tensor, error: float) -> int | None:
    """Loosest level whose error is at most ``error`` on average.

    The largest level with ``sum(wrong - error * kept) + 1 - error <= 0``:
    one more image that is kept and wholly wrong would not break the promise
    (conformal risk control). The excess ``wrong - error * kept`` of an image
    need not grow with the level, for which the paper's theorem asks: the
    promise may be exceeded by ``error`` times the change of coverage that
    one image makes.

    Args:
        kept, wrong (Tensor): Of :func:`shares`.
        error (float): In (0, 1).

    Returns:
        int: None if there is no such level.
    """
    slack = (wrong - error * kept).sum(0) + 1 - error
    good = (slack <= 0).nonzero()
    return int(good[-1]) if len(good) else None


def level_with_confidence(
    kept: Tensor,
    wrong: Tensor,
    error: float,
    confidence: float,
    starts: Sequence[int],
) -> int | None:
    """Loosest level that passes a test of ``error`` (learn then test).

    The hypothesis that a level breaks the promise is rejected by a bet
    against it, the product over images of ``1 + bet * (error - x)`` with
    ``x = wrong + error * (1 - kept)`` in [0, 1], whose mean would be at least
    ``error``: it exceeds ``1 / alpha`` with a probability of at most
    ``alpha`` for images drawn independently (Waudby-Smith and Ramdas 2023,
    arXiv 2010.09686; here with one fixed bet, so that their order does not
    matter). Being exchangeable is not enough: copies of one image would win
    or lose each bet together. Levels are
    tested from each start on, towards looser ones, until one is not
    rejected; a chain that reaches the next start hands its share of
    ``1 - confidence`` on (the fallback procedure of Wiens 2003).

    Args:
        kept, wrong (Tensor): Of :func:`shares`.
        error, confidence (float): In (0, 1).
        starts (Sequence[int]): Levels chosen without these images.

    Returns:
        int: None if no level passes.
    """
    stakes = wrong + error * (1 - kept)
    bet = BET / (1 - error)
    evidence = (bet * (error - stakes)).log1p().sum(0)
    share = (1 - confidence) / len(starts)
    best, alpha = None, 0.0
    for level in range(min(starts), LEVELS):
        alpha += share * list(starts).count(level)
        if alpha and evidence[level] >= -math.log(alpha):
            best = level
        else:
            alpha = 0.0
    return best


def smallest_error(
    kept: Tensor,
    wrong: Tensor,
    confidence: float | None = None,
    starts: Sequence[int] = (),
) -> float:
    """The smallest error that these images can promise, to .001; else 1."""

    def can(step: int) -> bool:  # and then it can promise more errors, too
        level = find_level(kept, wrong, step / 1000, confidence, starts)
        return level is not None

    return (bisect_left(range(1, 1000), True, key=can) + 1) / 1000


def find_level(
    kept: Tensor,
    wrong: Tensor,
    error: float,
    confidence: float | None = None,
    starts: Sequence[int] = (),
) -> int | None:
    """On average, or with a confidence if there is one."""
    if confidence is None:
        return level_on_average(kept, wrong, error)
    return level_with_confidence(kept, wrong, error, confidence, starts)
