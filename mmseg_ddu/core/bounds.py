"""Scores are numbers: what happens to those that are not.

A feature with NaN or infinity has no density, and one that is finite but
absurdly far away has one that float32 cannot hold. Such a pixel is *lost*.
On its way through windows and resizing its score is NaN or infinite, which
spreads to whatever is interpolated from it and to nothing else; at the end it
becomes ``WORST``, more uncertain than all others, so that it stays visible.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WORST = 1e30
LOST = WORST / 256  # also after a mean with pixels that have a score


def lost_to_infinity(scores: Tensor) -> Tensor:
    """Infinity, larger than all numbers, in place of what is no number."""
    top = torch.inf
    return scores.nan_to_num(nan=top, posinf=top, neginf=top)


def make_visible(scores: Tensor) -> Tensor:
    """``WORST`` in place of infinity and of whatever is beyond it."""
    return scores.clamp(max=WORST)


def is_lost(scores: Any) -> Any:
    """Where there is no score, bool; of a tensor or an array."""
    return ~(scores < LOST)  # NaN as well
