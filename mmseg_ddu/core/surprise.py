"""From a score to how rare it is among pixels of held-out images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bounds import is_lost, lost_to_infinity

KNOTS = 1024
ROOT = 4
TAIL = 50  # scores from which on the tail is an exponential
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
        near_zero (bool): The grid is even in the fourth root of the score,
            which is not below 0: for scores that are mostly near it, such as
            entropies.

    Attributes:
        cells (Tensor): (KNOTS - 1, 2), the line of each cell of the grid:
            surprise at place 0, and how much it rises there. In the first
            one, below all scores, both are 0; the last is the tail.
        scale (Tensor): Cells for each unit of score.
        shift (Tensor): The place of score 0.

    Example:
        >>> surprise = Surprise()
        >>> surprise.fit(torch.arange(1001.0))
        >>> round(surprise.percentile(torch.tensor([900.0])).item(), 2)
        0.9
    """

    cells: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, near_zero: bool = False) -> None:
        super().__init__()
        self.near_zero = near_zero
        self.register_buffer('cells', torch.zeros(KNOTS - 1, 2))
        self.register_buffer('scale', torch.ones(()))
        self.register_buffer('shift', torch.zeros(()))

    @torch.no_grad()
    def fit(self, scores: Tensor) -> None:
        """Learn from calibration scores of any shape.

        Raises:
            ValueError: If none is finite.
        """
        scores = scores.detach().double().cpu().flatten()
        scores = self._in_range(scores[scores.isfinite() & ~is_lost(scores)])
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
        step = max((high - low) / (KNOTS - 3), 1e-6 * max(1.0, abs(high)))
        places = low + step * torch.arange(KNOTS - 2, dtype=torch.float64)
        knots = _interpolate(places, grid, surprise[inside])
        excess = float((self._grid(scores[scores >= start]) - high).mean())
        last = knots[-1] + step / max(excess, step)
        knots = torch.cat([knots[:1], knots, last[None]])
        rises = knots.diff()
        begins = knots[:-1] - rises * torch.arange(KNOTS - 1)
        self.cells.copy_(torch.stack([begins, rises], 1))
        self.scale.fill_(1 / step)
        self.shift.fill_(1 - low / step)

    def _in_range(self, scores: Tensor) -> Tensor:
        return scores.clamp_min(0) if self.near_zero else scores

    def _grid(self, scores: Tensor) -> Tensor:
        return scores.pow(1 / ROOT) if self.near_zero else scores

    def forward(self, scores: Tensor) -> Tensor:
        """Surprise in nats, the shape of ``scores``; infinite for NaN."""
        scores = self._in_range(scores.float())
        return self.look_up(lost_to_infinity(scores))

    def look_up(self, scores: Tensor) -> Tensor:
        """The same for scores in range, none of which is NaN."""
        place = torch.addcmul(self.shift, self._grid(scores), self.scale)
        # int32 and index_select: a quarter of the time of plain indexing.
        index = place.clamp(0, KNOTS - 2).int()
        cells = self.cells.index_select(0, index.flatten())
        begin, rise = cells.view(*index.shape, 2).unbind(-1)
        return torch.addcmul(begin, place, rise)

    def percentile(self, scores: Tensor) -> Tensor:
        """Share of calibration scores that are lower, in [0, 1].

        1 where there is no score.
        """
        return to_percentile(self(scores))

    def range(self) -> tuple[float, float]:
        """Lowest score, and that where the exponential tail begins."""
        places = torch.tensor([1, KNOTS - 2], dtype=torch.float64)
        ends = (places - self.shift.cpu()) / self.scale.cpu()
        low, high = (ends.pow(ROOT) if self.near_zero else ends).tolist()
        return low, high


def to_percentile(surprise: Tensor) -> Tensor:
    """``1 - exp(-surprise)``."""
    return 1 - math.exp(-1) ** surprise


def total_surprise(aleatoric: Tensor, epistemic: Tensor) -> Tensor:
    """Surprise of the entropy, plus that of the density beyond 1 in 10.

    ``s_a + max(0, s_e - log 10)``: the density counts only where it is lower
    than for nine pixels in ten, and then as much as the entropy.
    """
    return aleatoric + F.softshrink(epistemic, ORDINARY)


def _interpolate(places: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear through (grid, values), both ascending."""
    right = torch.searchsorted(grid, places).clamp(1, max(1, len(grid) - 1))
    right = right.clamp(max=len(grid) - 1)
    left = (right - 1).clamp_min(0)
    width = (grid[right] - grid[left]).clamp_min(1e-300)
    share = ((places - grid[left]) / width).clamp(0, 1)
    return values[left].lerp(values[right], share)
