"""Does uncertainty go with error? PAvPU and its two conditionals.

Patch Accuracy vs Patch Uncertainty (Mukhoti and Gal, 2018, arXiv
1811.12709): a map is cut into windows. A window is *accurate* if the share
of right pixels is above a threshold, *uncertain* if the mean uncertainty of
its pixels is above another; both comparisons are strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ddu.core.errors import require

from . import METRIC
from .metric import JudgedImage, Metric
from .ranking_counts import RankingCounts


class PatchCurves(NamedTuple):
    """The trio at each threshold, float64; NaN where nothing is counted.

    Attributes:
        accurate_certain (Tensor): p(accurate | certain).
        uncertain_inaccurate (Tensor): p(uncertain | inaccurate).
        pavpu (Tensor): Share of windows that are accurate and certain, or
            inaccurate and uncertain.
    """

    accurate_certain: Tensor
    uncertain_inaccurate: Tensor
    pavpu: Tensor


@METRIC.register('patches')
class PatchCounts(Metric):
    """Counts of windows, mergeable over images and ranks.

    Thresholds are chosen afterwards, because the mean uncertainties of
    accurate and inaccurate windows are counted on the fine grid of
    ``RankingCounts``: constant memory, exact with ``bits=32``.

    A window at the border has the pixels that are inside the image. Void
    pixels are left out, and a window of void alone is not counted; or, with
    ``void_inaccurate``, they are pixels like others, always wrong.

    Args:
        size (int): Side of a window in pixels; 1 is the pixel level.
        accuracy (float): A window is accurate above this share.
        void_inaccurate (bool): Count void as wrong.
        percentiles (Sequence[float]): Give the figures at these thresholds
            too, with the suffix ``@p``.
        bits (int): See ``RankingCounts``.

    Example:
        >>> counts = PatchCounts(size=1)
        >>> counts.update(torch.tensor([[.1, .2, .9, .3]]),
        ...               torch.tensor([[True, True, False, True]]))
        >>> trio_at_percentiles(counts.windows, 75).pavpu
        tensor([1.], dtype=torch.float64)
    """

    prefix = 'pavpu'
    curve = 'trio'

    def __init__(
        self,
        size: int = 4,
        accuracy: float = 0.5,
        void_inaccurate: bool = False,
        percentiles: Sequence[float] = (),
        bits: int = 22,
    ) -> None:
        require(size >= 1, 'size >= 1', size)
        require(0 <= accuracy < 1, 'accuracy in [0, 1)', accuracy)
        self.size, self.accuracy = size, accuracy
        self.void_inaccurate = void_inaccurate
        self.percentiles = tuple(percentiles)
        self.settings = dict(
            size=size, accuracy=accuracy, void_inaccurate=void_inaccurate
        )
        self.windows = RankingCounts(bits)

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        self.update(score, image.right, image.known)

    def update(
        self, scores: Tensor, right: Tensor, known: Tensor | None = None
    ) -> None:
        """Add one image.

        Args:
            scores (Tensor): (H, W); higher is more uncertain.
            right (Tensor): (H, W) bool, the prediction is the label.
            known (Tensor, optional): (H, W) bool, False for void.

        Raises:
            ValueError: If the shapes differ or a known score is NaN.
        """
        known = torch.ones_like(right) if known is None else known
        shapes = [tuple(x.shape) for x in (scores, right, known)]
        same = scores.dim() == 2 and len(set(shapes)) == 1
        require(same, 'scores, right and known of one shape (H, W)', shapes)
        rights = self._sum(right & known)
        if self.void_inaccurate:
            known = torch.ones_like(known)
        number = self._sum(known)
        mean = self._sum(scores.where(known, 0)) / number
        accurate = rights / number > self.accuracy
        counted = number > 0
        self.windows.update(mean[counted], ~accurate[counted])

    def _sum(self, image: Tensor) -> Tensor:
        """Sum over each window, (ceil(H / size), ceil(W / size)) float64."""
        image = image.double()[None]
        return F.avg_pool2d(
            image, self.size, ceil_mode=True, divisor_override=1
        )[0]

    def figures(self) -> dict[str, float]:
        """Means of the trio over the percentiles 1, 2, … 100."""
        curves = {'': trio_at_percentiles(self.windows)}
        for p in self.percentiles:
            curves[f'@{p:g}'] = trio_at_percentiles(self.windows, p)
        names = 'p_accurate_certain', 'p_uncertain_inaccurate', 'PAvPU'
        means = {
            name + suffix: float(curve.nanmean())
            for suffix, trio in curves.items()
            for name, curve in zip(names, trio)
        }
        return {name: mean for name, mean in means.items() if mean == mean}

    def curves(self) -> dict:
        """The trio at the percentiles 1, 2, … 100."""
        return {self.curve: trio_at_percentiles(self.windows)._asdict()}


@METRIC.register('patches_void_wrong')
class PatchCountsVoidWrong(PatchCounts):
    """The curves alone with void as wrong, as the paper seems to have it."""

    in_test = False
    curve = 'trio_void_wrong'

    def __init__(self, size: int = 4) -> None:
        super().__init__(size, void_inaccurate=True)

    def figures(self) -> dict[str, float]:
        return {}


def trio_at_percentiles(
    counts: RankingCounts, percentiles: Tensor | float | None = None
) -> PatchCurves:
    """The trio at percentiles of what was counted.

    Percentile p is the order statistic at position floor(p / 100 · (n - 1)),
    so that different scores leave about the same share uncertain: numpy's
    percentile with ``method='lower'``.

    Args:
        counts (RankingCounts): Positives are inaccurate windows or pixels.
        percentiles (Tensor or float, optional): (T,) in [0, 100]; None is
            1, 2, … 100.

    Raises:
        ValueError: If a percentile is outside [0, 100].
    """
    if percentiles is None:
        percentiles = torch.arange(1, 101)
    levels = torch.as_tensor(percentiles).double().reshape(-1)
    within = (levels >= 0) & (levels <= 100)
    require(bool(within.all()), 'percentiles in [0, 100]', levels[~within])
    below = counts.counts.cumsum(0)
    if not len(below):
        return PatchCurves(*levels.new_full((3, len(levels)), torch.nan))
    number = below.sum(1)
    last = number[-1] - 1
    position = (levels * last / 100).floor().long()
    position.clamp_(max=last)  # float64 rounds up beyond 2**53
    where = torch.searchsorted(number, position, right=True)
    accurate, inaccurate = below[-1].double()
    accurate_certain, inaccurate_certain = below[where].double().unbind(1)
    caught = inaccurate - inaccurate_certain
    return PatchCurves(
        accurate_certain / (accurate_certain + inaccurate_certain),
        caught / inaccurate,
        (accurate_certain + caught) / (accurate + inaccurate),
    )
