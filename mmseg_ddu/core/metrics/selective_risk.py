"""Selective prediction: the risk left when uncertain pixels are left out.

Everything follows from counts (``RankingCounts``) in which the positives are
the wrong pixels, so it merges over images and ranks in constant memory, and
is exact with ``RankingCounts(bits=32)``. Without pixels all is NaN.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .ranking_counts import RankingCounts


def risk_coverage(
    counts: RankingCounts, points: int | None = None
) -> tuple[Tensor, Tensor]:
    """Risk-coverage curve: pixels are accepted from the most certain on.

    Args:
        counts (RankingCounts): Positives are wrong pixels.
        points (int, optional): Thin the curve to about as many points, at
            even coverage; None for one per value of the score.

    Returns:
        tuple[Tensor, Tensor]: Coverage in (0, 1], ascending, and the share
        of wrong pixels among those accepted; float64, empty without pixels.

    Example:
        >>> counts = RankingCounts()
        >>> counts.update(torch.tensor([0.1, 0.2, 0.3, 0.4]),
        ...               torch.tensor([False, False, True, True]))
        >>> risk_coverage(counts)[1]
        tensor([0.0000, 0.0000, 0.3333, 0.5000], dtype=torch.float64)
    """
    accepted, errors = (values[1:] for values in _accepted(counts))
    if len(accepted) == 0:
        return accepted, errors
    coverage, risk = accepted / accepted[-1], errors / accepted
    if points is not None:
        levels = torch.linspace(0, 1, points + 1).double()[1:]
        chosen = torch.searchsorted(coverage, levels)
        chosen = chosen.clamp_(max=len(coverage) - 1).unique()
        return coverage[chosen], risk[chosen]
    return coverage, risk


def aurc(counts: RankingCounts) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv, 2017).

    The mean over i = 1…N of the risk among the i most certain pixels. Where
    scores are tied it is the expectation under a random order in the tie,
    in closed form: with C pixels and E errors before, n and e in the tie and
    r = e/n, the sum over j = 1…n of (E + jr)/(C + j) is
    nr + (E - rC)(H(C+n) - H(C)), H being harmonic numbers. In [0, 1], lower
    is better.
    """
    accepted, errors = _accepted(counts)
    more = errors.diff()
    rate = more / accepted.diff()
    before = errors[:-1] - rate * accepted[:-1]
    area = more + before * _harmonic(accepted).diff()
    return float(area.sum() / accepted[-1])


def oracle_aurc(counts: RankingCounts) -> float:
    """AURC of the best ordering: every wrong pixel after every right one."""
    right, wrong = counts.counts.sum(0).double()
    harmonic = _harmonic(right + wrong) - _harmonic(right)
    return float((wrong - right * harmonic) / (right + wrong))


def e_aurc(counts: RankingCounts) -> float:
    """Excess AURC: AURC minus that of the best ordering.

    Takes the error rate of the network out (Geifman et al., 2019, arXiv
    1805.08206). 0 is perfect.
    """
    return aurc(counts) - oracle_aurc(counts)


def augrc(counts: RankingCounts) -> float:
    """Area under the generalised risk-coverage curve.

    As :func:`aurc`, but what is integrated is the share of all pixels that
    are accepted and wrong, so that no error counts more because few pixels
    are accepted (Traub et al., 2024, arXiv 2407.01032). Equals
    ``(1 - AUROC) a (1 - a) + (1 - a)^2 / 2`` with a the accuracy: in
    [0, 1/2], lower is better.

    Example:
        >>> counts = RankingCounts()
        >>> counts.update(torch.tensor([0.1, 0.2]),
        ...               torch.tensor([False, True]))
        >>> augrc(counts)
        0.125
    """
    accepted, errors = _accepted(counts)
    return float(torch.trapezoid(errors, accepted) / accepted[-1] ** 2)


def risk_at(counts: RankingCounts, coverage: float) -> float:
    """Share of wrong pixels among the most certain ones.

    Args:
        counts (RankingCounts): Positives are wrong pixels.
        coverage (float): Share of the pixels that are accepted, in (0, 1];
            a tie at the border is split in proportion.
    """
    accepted, errors = (values.numpy() for values in _accepted(counts))
    limit = coverage * accepted[-1]
    if limit == 0:
        return math.nan
    return float(np.interp(limit, accepted, errors) / limit)


def _accepted(counts: RankingCounts) -> tuple[Tensor, Tensor]:
    """Pixels, and wrong ones among them, up to each score; from 0 on."""
    table = counts.counts.cumsum(0).double()
    table = torch.cat([table.new_zeros(1, 2), table])
    return table.sum(1), table[:, 1]


def _harmonic(n: Tensor) -> Tensor:
    """Harmonic numbers, up to a constant."""
    return torch.digamma(n + 1)
