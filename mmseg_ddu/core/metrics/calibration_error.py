"""Are the probabilities right? Calibration over a whole data set."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.scores import log_probabilities

from . import METRIC
from .metric import VOID, JudgedImage, Metric

# The fine histogram of 1 - confidence: float32 with 9 bits of mantissa.
_SHIFT = 14
_FINE = (0x3F800000 >> _SHIFT) + 1


class Reliability(NamedTuple):
    """What a reliability diagram shows, (n_bins,) float64 each.

    Attributes:
        share (Tensor): Of all pixels.
        confidence (Tensor): Mean confidence, NaN in empty bins.
        accuracy (Tensor): Share of right pixels, NaN in empty bins.
    """

    share: Tensor
    confidence: Tensor
    accuracy: Tensor

    def error(self) -> float:
        """Mean |accuracy - confidence| over all pixels; NaN without any."""
        gap = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return float((self.share * gap).sum())


@METRIC.register('calibration')
class CalibrationCounts(Metric):
    """ECE, adaptive ECE, NLL and Brier score, mergeable, constant memory.

    The confidence is the largest probability of a pixel. Everything is exact
    but the bins of equal mass: their borders fall on a grid on which
    1 - confidence has a relative spacing of 1/512. Sums are in float64.

    Args:
        n_bins (int): Bins of the reliability diagram.

    Example:
        >>> counts = CalibrationCounts()
        >>> counts.update(torch.zeros(4, 2), torch.tensor([0, 1]))
        >>> round(counts.nll(), 4), counts.ece(), counts.brier()
        (1.3863, 0.25, 0.75)
    """

    prefix = 'calibration'
    per_map = False
    not_percent = ('NLL', 'Brier')
    columns = lower_is_better = ('ECE', 'NLL', 'Brier')

    def __init__(self, n_bins: int = 15) -> None:
        require(n_bins >= 1, 'n_bins >= 1', n_bins)
        self.n_bins = n_bins
        self.settings = dict(n_bins=n_bins)
        # Columns: number, sum of confidences, number right.
        self.bins = torch.zeros(n_bins, 3, dtype=torch.float64)
        self.fine = torch.zeros(_FINE, 3, dtype=torch.float64)
        self.sums = torch.zeros(2, dtype=torch.float64)  # NLL, Brier

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        self.update(image.logits, image.labels)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add pixels.

        Where a logit is not a number, all classes are equally probable.

        Args:
            logits (Tensor): (C, ...), or log probabilities; C = 1 is a binary
                classifier behind a sigmoid.
            labels (Tensor): (...); void is left out.

        Raises:
            ValueError: If the shapes do not fit, or a label is neither a
                class nor void.
        """
        require(
            logits.shape[1:] == labels.shape,
            f'labels of shape {tuple(logits.shape[1:])}',
            tuple(labels.shape),
        )
        labels = labels.to(logits.device).flatten().long()
        known = (labels != VOID).nonzero()[:, 0]
        labels = labels[known]
        flat = logits.detach().flatten(1).index_select(1, known)
        log_probs = log_probabilities(flat[None])[0]
        check_labels(labels, len(log_probs))
        uniform = -math.log(len(log_probs))
        log_probs = log_probs.nan_to_num_(uniform, neginf=-math.inf)
        top, predicted = log_probs.max(0)
        own = log_probs.gather(0, labels[None])[0]
        # As a product: torch sums slowly over the first dimension.
        ones = log_probs.new_ones(len(log_probs))
        brier = ones @ log_probs.mul_(2).exp_() - 2 * own.exp() + 1
        self.sums[0] -= float(own.sum(dtype=torch.float64))
        self.sums[1] += float(brier.sum(dtype=torch.float64))
        self._count(top.exp().cpu(), (predicted == labels).cpu())

    def _count(self, confidence: Tensor, right: Tensor) -> None:
        # Bins are open on the left, as Guo et al. have them.
        where = (confidence * self.n_bins).ceil().long() - 1
        where.clamp_(0, self.n_bins - 1)
        doubt = (1 - confidence).float().clamp_(0, 1)
        fine = (doubt.view(torch.int32) >> _SHIFT).long()
        ones = torch.ones_like(confidence)
        for column, weight in enumerate((ones, confidence, right)):
            weight = weight.double()
            self.bins[:, column] += torch.bincount(where, weight, self.n_bins)
            self.fine[:, column] += torch.bincount(fine, weight, _FINE)

    @property
    def num_pixels(self) -> int:
        return int(self.bins[:, 0].sum())

    def nll(self) -> float:
        """Mean negative log likelihood in nats; NaN without pixels."""
        return float(self.sums[0] / self.bins[:, 0].sum())

    def brier(self) -> float:
        """Mean of Σ_c (p_c - [c = label])² (Brier, 1950), in [0, 2]."""
        return float(self.sums[1] / self.bins[:, 0].sum())

    def ece(self) -> float:
        """Expected calibration error (Guo et al., 2017, arXiv 1706.04599).

        Bins of equal width; in [0, 1], NaN without pixels.
        """
        return self.reliability().error()

    def adaptive_ece(self) -> float:
        """The same with bins of equal mass (Nguyen and O'Connor, 2015)."""
        return self.reliability(adaptive=True).error()

    def reliability(self, adaptive: bool = False) -> Reliability:
        """Data of the reliability diagram, in ascending confidence."""
        bins = self.bins
        if adaptive:
            bins = _equal_mass(self.fine.flip(0), self.n_bins)
        number, confidence, right = bins.unbind(1)
        share = number / number.sum()
        return Reliability(share, confidence / number, right / number)

    def figures(self) -> dict[str, float]:
        """``ECE``, ``aECE``, ``NLL`` in nats, ``Brier``."""
        if not self.num_pixels:
            return {}
        return dict(
            ECE=self.ece(),
            aECE=self.adaptive_ece(),
            NLL=self.nll(),
            Brier=self.brier(),
        )

    def curves(self) -> dict:
        """``reliability``: share, confidence and accuracy of each bin."""
        return dict(reliability=self.reliability()._asdict())


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError unless every label is in [0, num_classes)."""
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f'Expected labels in [0, {num_classes}) or ignore_index, but got '
            f'{int(labels.min())} to {int(labels.max())}.'
        )


def _equal_mass(fine: Tensor, n_bins: int) -> Tensor:
    """Merge rows, split on a border, to ``n_bins`` of equal number."""
    fine = fine[fine[:, 0] > 0]
    sums = np.concatenate([np.zeros((1, 3)), fine.cumsum(0).numpy()])
    levels = np.linspace(0, sums[-1, 0], n_bins + 1)
    merged = [np.interp(levels, sums[:, 0], sums[:, i]) for i in range(3)]
    return torch.from_numpy(np.diff(np.stack(merged, 1), axis=0))
