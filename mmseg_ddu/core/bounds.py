"""Scores are numbers: what happens to those that are not.

A vector with NaN or infinity has no density, and one that is finite but
absurdly far away has one that float32 cannot hold. Both get the score
``WORST``, more uncertain than all others. It is finite, because maps are
resized and averaged afterwards, and ``0 * inf`` would be NaN in the
neighbourhood. What has the score ``WORST`` is called *lost*: it takes no
part in means over regions, nor in scores that are interpolated from others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

WORST = 1e30


def bounded(log_probs: Tensor) -> Tensor:
    """Log densities of at least ``-WORST``, which NaN becomes as well.

    Example:
        >>> bounded(torch.tensor([-2.0, torch.nan, -torch.inf])).tolist()
        [-2.0, -1.0000000150474662e+30, -1.0000000150474662e+30]
    """
    return log_probs.nan_to_num(nan=-WORST).clamp_min(-WORST)


def is_lost(scores: Tensor) -> Tensor:
    """Where there is no score, bool."""
    return ~(scores < WORST)  # NaN as well


def standardized(
    scores: Tensor, mean: Tensor | float, std: Tensor | float
) -> Tensor:
    """``(scores - mean) / std``; what is lost stays lost."""
    inner = ((scores - mean) / std).clamp(-WORST, WORST)
    return inner.masked_fill(is_lost(scores), WORST)


def resize_scores(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, between the scores that there are.

    What comes for the most part from lost scores is lost.

    Args:
        scores (Tensor): (B, 1, h, w).
        size (Sequence[int]): H and W.

    Returns:
        Tensor: (B, 1, H, W).

    Example:
        >>> scores = torch.tensor([2.0, 4.0, WORST]).reshape(1, 1, 1, 3)
        >>> resize_scores(scores, (1, 6)).flatten()[:4].tolist()
        [2.0, 2.5, 3.5, 4.0]
    """
    lost = is_lost(scores)
    both = torch.cat([scores.masked_fill(lost, 0), (~lost).to(scores)], 1)
    both = F.interpolate(both, tuple(size), mode='bilinear')
    total, share = both[:, :1], both[:, 1:]
    # Where nothing is lost the share is 1 up to rounding: leave it out.
    share = share.masked_fill(share > 1 - 1e-5, 1)
    return (total / share).masked_fill(share < 0.5, WORST)
