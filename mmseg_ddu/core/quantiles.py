"""From a score to its percentile among the training scores."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_table(scores: Tensor, num: int = 1001) -> Tensor:
    """Quantiles of a sample at evenly spaced levels, (num,) float64.

    Linear between order statistics, as numpy's default.
    """
    if scores.numel() == 0:
        raise ValueError('Expected at least one score.')
    ordered = scores.flatten().double().sort().values
    levels = torch.linspace(0, 1, num, dtype=torch.float64)
    position = levels.to(ordered.device) * (len(ordered) - 1)
    below = position.floor().long()
    above = position.ceil().long()
    return ordered[below].lerp(ordered[above], position - below)


def percentile(scores: Tensor, table: Tensor) -> Tensor:
    """Share of the training scores that lie below each score, in [0, 1].

    0 is as ordinary as training pixels get, 1 is beyond all of them, and what
    NaN gets. Linear between the entries of the table.

    Args:
        scores (Tensor): Any shape.
        table (Tensor): (Q,) ascending quantiles at even levels.

    Example:
        >>> percentile(torch.tensor([-5., 0.5, 9.]), torch.arange(3.))
        tensor([0.0000, 0.2500, 1.0000])
    """
    values = scores.to(table.dtype).nan_to_num(nan=torch.inf).contiguous()
    last = len(table) - 1
    right = torch.searchsorted(table, values, right=True).clamp(1, last)
    low, high = table[right - 1], table[right]
    flat = (values >= low).to(values.dtype)
    step = torch.where(high > low, (values - low) / (high - low), flat)
    return ((right - 1 + step.clamp(0, 1)) / last).to(scores.dtype)
