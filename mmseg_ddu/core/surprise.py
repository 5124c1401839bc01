"""From a score to how rare it is among pixels of held-out images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .bounds import is_lost

KNOTS = 1024
TAIL = 50  # scores from which on the tail is an exponential
SMALLEST = 1e-5  # of a score on a logarithmic scale
ORDINARY = math.log(10)  # nats of surprise: one pixel in ten


class Surprise(nn.Module):
    """``-log(1 - percentile)`` of a score, in nats.

    The percentile is the share of calibration scores that are lower. The
    surprise is 0 for the lowest, log 2 at the median, log 1000 where one
    pixel in a thousand is higher. Beyond the 50 highest scores the tail goes
    on as an exponential with their mean excess, so that scores far away are
    not all alike.

    Scores are looked up on an even grid: a handful of tensor operations.

    Args:
        logarithmic (bool): The grid is even in log(score + 1e-5), for scores
            that are mostly near zero, such as entropies.

    Example:
        >>> surprise = Surprise()
        >>> surprise.fit(torch.arange(1001.0))
        >>> round(surprise.percentile(torch.tensor([900.0])).item(), 2)
        0.9
    """

    knots: Tensor
    rises: Tensor
    low: Tensor
    step: Tensor

    def __init__(self, logarithmic: bool = False) -> None:
        super().__init__()
        self.logarithmic = logarithmic
        self.register_buffer('knots', torch.zeros(KNOTS))
        self.register_buffer('rises', torch.zeros(KNOTS - 1))
        self.register_buffer('low', torch.zeros(()))
        self.register_buffer('step', torch.ones(()))

    @torch.no_grad()
    def fit(self, scores: Tensor) -> None:
        """Learn from calibration scores of any shape.

        Raises:
            ValueError: If none is finite.
        """
        scores = scores.detach().double().cpu().flatten()
        scores = scores[scores.isfinite() & ~is_lost(scores)]
        if len(scores) == 0:
            raise ValueError('Expected at least one finite score.')
        values, count = scores.unique(return_counts=True)
        below = (count.cumsum(0) - count).double()
        surprise = -(1 - below / len(scores)).log()
        tail = min(TAIL, max(1, len(scores) // 20))
        start = scores.sort().values[-tail]
        inside = values <= start
        grid = self._grid(values[inside])
        low, high = float(grid[0]), float(grid[-1])
        step = max((high - low) / (KNOTS - 2), 1e-6 * max(1.0, abs(high)))
        places = low + step * torch.arange(KNOTS - 1, dtype=torch.float64)
        knots = _interpolate(places, grid, surprise[inside])
        excess = float((self._grid(scores[scores >= start]) - high).mean())
        last = knots[-1] + step / max(excess, step)
        self.knots.copy_(torch.cat([knots, last[None]]))
        self.rises.copy_(self.knots.diff())
        self.low.fill_(low)
        self.step.fill_(step)

    def _grid(self, scores: Tensor) -> Tensor:
        if self.logarithmic:
            return (scores.clamp_min(0) + SMALLEST).log()
        return scores

    def forward(self, scores: Tensor) -> Tensor:
        """Surprise in nats, the shape of ``scores``; NaN stays NaN."""
        place = (self._grid(scores.float()) - self.low) / self.step
        place = place.clamp_min(0)
        # int32 and index_select: a quarter of the time of plain indexing.
        index = place.clamp(max=KNOTS - 2).nan_to_num(nan=0).int()
        flat = index.flatten()
        below = self.knots.index_select(0, flat).view(index.shape)
        rises = self.rises.index_select(0, flat)
        return torch.addcmul(below, place - index, rises.view(index.shape))

    def percentile(self, scores: Tensor) -> Tensor:
        """Share of calibration scores that are lower, in [0, 1].

        1 where there is no score.
        """
        return to_percentile(self(scores))

    def range(self) -> tuple[float, float]:
        """Lowest score, and that where the exponential tail begins."""
        high = self.low + self.step * (KNOTS - 2)
        ends = torch.stack([self.low, high]).double()
        if self.logarithmic:
            ends = (ends.exp() - SMALLEST).clamp_min(0)
        return float(ends[0]), float(ends[1])


def to_percentile(surprise: Tensor) -> Tensor:
    """``1 - exp(-surprise)``; 1 where there is none."""
    return 1 - (-surprise).exp().nan_to_num(nan=0.0)


def total_surprise(aleatoric: Tensor, epistemic: Tensor) -> Tensor:
    """Surprise of the entropy, plus that of the density beyond 1 in 10.

    ``s_a + max(0, s_e - log 10)``: the density counts only where it is lower
    than for nine pixels in ten, and then as much as the entropy.

    Args:
        aleatoric (Tensor): Surprise of the entropy, in nats.
        epistemic (Tensor): Surprise of the density, the same shape.
    """
    return aleatoric + (epistemic - ORDINARY).clamp_min(0)


def _interpolate(places: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear through (grid, values), both ascending."""
    right = torch.searchsorted(grid, places).clamp(1, max(1, len(grid) - 1))
    right = right.clamp(max=len(grid) - 1)
    left = (right - 1).clamp_min(0)
    width = (grid[right] - grid[left]).clamp_min(1e-300)
    share = ((places - grid[left]) / width).clamp(0, 1)
    return values[left].lerp(values[right], share)
