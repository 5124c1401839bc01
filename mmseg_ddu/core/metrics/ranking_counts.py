"""Ranking metrics of uncertainty scores over a whole data set."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from mmseg_ddu.core.errors import require

from .metric import Counts


class RankingCounts(Counts):
    """Counts of scores on a fine grid, mergeable over images and ranks.

    AUROC of a data set is not the mean of the AUROCs of its images, and
    keeping every pixel of a data set is out of the question. So each score
    is rounded to a float32 with a short mantissa, and the positives and
    negatives are counted per rounded value. Rounding keeps the order;
    values that fall together count as ties. With ``bits=22`` (sign, 8 bits
    of exponent, 13 of mantissa) the grid has a relative spacing of 1/8192
    and at most 4 million values of 24 bytes. With ``bits=32`` the metrics
    are exact in float32.

    A positive is what should have the higher score: a wrong pixel, a pixel
    of an object never seen.

    Example:
        >>> counts = RankingCounts()
        >>> counts.update(torch.tensor([-900., -1000.]),
        ...               torch.tensor([True, False]))
        >>> counts.auroc()
        1.0
    """

    def __init__(self, bits: int = 22) -> None:
        require(10 <= bits <= 32, 'bits in [10, 32]', bits)
        self.bits = bits
        self.settings = dict(bits=bits)
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._counts = torch.zeros(0, 2, dtype=torch.int64)
        self._pending: list[tuple[Tensor, Tensor]] = []

    def update(self, scores: Tensor, positives: Tensor) -> None:
        """Add pixels.

        Args:
            scores (Tensor): Any shape; higher is more uncertain.
            positives (Tensor): Bool, the same shape.

        Raises:
            ValueError: If the shapes differ or a score is NaN.
        """
        shapes = [tuple(x.shape) for x in (scores, positives)]
        same = shapes[0] == shapes[1]
        require(same, 'scores and positives of one shape', shapes)
        keys = self.key(scores)
        for column, side in enumerate((keys[~positives], keys[positives])):
            side, numbers = torch.unique_consecutive(
                side.sort().values, return_counts=True
            )
            self.add(side.cpu().long(), numbers.cpu(), column)

    def key(self, scores: Tensor) -> Tensor:
        """Position of each score on the grid, int32, in the same order.

        Raises:
            ValueError: If a score is NaN.
        """
        scores = scores.float() + 0.0  # -0.0 becomes 0.0
        if torch.isnan(scores).any():
            raise ValueError('Expected scores without NaN.')
        code = scores.contiguous().view(torch.int32)
        # Negative floats are ordered backwards as integers: flip them.
        code = torch.where(code < 0, -(code & 0x7FFFFFFF) - 1, code)
        return code >> (32 - self.bits)

    def score(self, keys: Tensor) -> Tensor:
        """Smallest score at each position of the grid, float32."""
        code = keys.to(torch.int32) << (32 - self.bits)
        code = torch.where(code < 0, (-(code + 1)) | (-1 << 31), code)
        return code.view(torch.float32)

    def add(self, keys: Tensor, numbers: Tensor, column: int) -> None:
        """Add pixels by their keys, (K,): negatives (0) or positives (1)."""
        counts = numbers.new_zeros(len(numbers), 2)
        counts[:, column] = numbers
        self.merge_state(dict(keys=keys, counts=counts))

    def state_dict(self) -> dict[str, Tensor]:
        return dict(keys=self.keys, counts=self.counts)

    def merge_state(self, state: Mapping[str, Tensor]) -> None:
        self._pending.append((state['keys'], state['counts']))
        waiting = sum(len(keys) for keys, _ in self._pending)
        if waiting > max(len(self._keys), 1 << 20):
            self._compact()

    def _compact(self) -> None:
        """Sum up what waits; done seldom, because sorting takes time."""
        if not self._pending:
            return
        parts = [(self._keys, self._counts), *self._pending]
        keys, counts = (torch.cat(column) for column in zip(*parts))
        self._keys, where = torch.unique(keys, return_inverse=True)
        self._counts = counts.new_zeros(len(self._keys), 2)
        self._counts.index_add_(0, where, counts)
        self._pending = []

    @property
    def keys(self) -> Tensor:
        """(K,) grid positions seen, ascending."""
        self._compact()
        return self._keys

    @property
    def counts(self) -> Tensor:
        """(K, 2) negatives and positives at each of ``keys``."""
        self._compact()
        return self._counts

    @property
    def num_negatives(self) -> int:
        return int(self.counts[:, 0].sum())

    @property
    def num_positives(self) -> int:
        return int(self.counts[:, 1].sum())

    def _descending(self, name: str) -> Tensor:
        """(negatives, positives) above each key, from none to all, float64.

        NaN, with a warning, if one side is missing.
        """
        table = self.counts.flip(0).cumsum(0).double()
        table = torch.cat([table.new_zeros(1, 2), table])
        for kind, total in zip(('negative', 'positive'), table[-1]):
            if not total:
                warnings.warn(
                    f'{name} is NaN: there is no {kind} pixel.', stacklevel=3
                )
                return torch.full((2, 2), math.nan)
        return table

    def auroc(self) -> float:
        """Area under the ROC curve; NaN if one side is missing."""
        curve = self._descending('AUROC')
        rates = curve / curve[-1]
        return float(torch.trapezoid(rates[:, 1], rates[:, 0]))

    def aupr(self) -> float:
        """Average precision, without interpolation (as scikit-learn)."""
        curve = self._descending('AUPR')
        precision = curve[1:, 1] / curve[1:].sum(1)
        recall = curve[:, 1] / curve[-1, 1]
        return float(recall.diff() @ precision)

    def fpr_at_tpr(self, tpr: float = 0.95) -> float:
        """Smallest false-positive rate with a recall of at least ``tpr``."""
        curve = self._descending('FPR')
        rates = curve / curve[-1]
        return float(rates[(rates[:, 1] < tpr).sum(), 0])

    def best_f1(self) -> tuple[float, float]:
        """The best F1 = 2TP / (2TP + FN + FP) and its threshold.

        What has a key of ``key(threshold)`` or more is called positive. Of
        several thresholds the highest; (NaN, NaN) if one side is missing.
        """
        curve = self._descending('F1')
        f1 = 2 * curve[:, 1] / (curve.sum(1) + curve[-1, 1])
        best = int(f1.argmax())
        above = self.score(self.keys.flip(0)[:best]).tolist()
        return float(f1[best]), above[-1] if above else math.nan
