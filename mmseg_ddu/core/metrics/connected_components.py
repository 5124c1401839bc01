"""Is every unknown object found, and is every finding an object?

The component-level metrics of SegmentMeIfYouCan (Chan et al., 2021, arXiv
2104.14812), from maps in which the connected components are numbered.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_ddu.core.errors import require

# A truth counts as found, and a finding as right, from these shares on.
LEVELS = torch.arange(25, 76, 5, dtype=torch.float64) / 100


class ComponentCounts:
    """Mean sIoU, mean PPV and mean F1 over components, mergeable.

    - sIoU of a true component K: with K̂ the union of the predicted
      components that touch K, ``|K ∩ K̂| / |(K ∪ K̂) minus other truths|``.
    - PPV of a predicted component: the share of it that lies on truth.
    - F1*: mean over levels .25, .30, … .75 of 2TP / (2TP + FN + FP), where
      a truth is found (TP) if its sIoU reaches the level and missed (FN) if
      not, and a finding is wrong (FP) if its PPV is below.

    Components are pooled over the data set; memory is constant.

    Args:
        min_predicted (int): Smaller predicted components are dropped.
        min_truth (int): Smaller true components become void, so that
            finding them is neither right nor wrong.

    Example:
        >>> counts = ComponentCounts()
        >>> counts.update(torch.tensor([[1, 1, 0, 2]]),
        ...               torch.tensor([[1, 1, 1, 0]]))
        >>> round(counts.siou(), 3), counts.ppv(), round(counts.f1(), 3)
        (0.667, 0.5, 0.545)
    """

    def __init__(self, min_predicted: int = 0, min_truth: int = 0) -> None:
        self.min_predicted = min_predicted
        self.min_truth = min_truth
        self.settings = dict(min_predicted=min_predicted, min_truth=min_truth)
        # Rows: truth, predicted. Columns: number, sum of sIoU or PPV.
        self.sums = torch.zeros(2, 2, dtype=torch.float64)
        # Rows: found, missed, wrong. Columns: LEVELS.
        self.levels = torch.zeros(3, len(LEVELS), dtype=torch.int64)

    def update(
        self, predicted: Tensor, truth: Tensor, known: Tensor | None = None
    ) -> None:
        """Add one image.

        Args:
            predicted (Tensor): (H, W) numbers of the predicted components
                from 1 on; 0 elsewhere.
            truth (Tensor): (H, W) numbers of the true components.
            known (Tensor, optional): (H, W) bool, False for void.

        Raises:
            ValueError: If the shapes differ.
        """
        known = torch.ones_like(truth).bool() if known is None else known
        shapes = {tuple(x.shape) for x in (predicted, truth, known)}
        require(
            len(shapes) == 1,
            'predicted, truth and known of one shape',
            sorted(shapes),
        )
        predicted, truth = predicted[known].long(), truth[known].long()
        predicted = predicted * _large(predicted, self.min_predicted)
        keep = (truth == 0) | _large(truth, self.min_truth)
        siou, ppv = component_overlaps(predicted[keep], truth[keep])
        for row, values in enumerate((siou, ppv)):
            self.sums[row, 0] += len(values)
            self.sums[row, 1] += values.sum()
        found = (siou[:, None] >= LEVELS).sum(0)
        self.levels[0] += found
        self.levels[1] += len(siou) - found
        self.levels[2] += (ppv[:, None] < LEVELS).sum(0)

    def merge(self, other: ComponentCounts) -> None:
        """Add all that another object has counted.

        Raises:
            ValueError: If it has other settings.
        """
        require(
            other.settings == self.settings,
            f'counts with {self.settings}',
            other.settings,
        )
        self.sums += other.sums
        self.levels += other.levels

    def siou(self) -> float:
        """Mean sIoU of the true components; NaN without any."""
        return _ratio(self.sums[0, 1], self.sums[0, 0])

    def ppv(self) -> float:
        """Mean PPV of the predicted components; NaN without any."""
        return _ratio(self.sums[1, 1], self.sums[1, 0])

    def f1(self) -> float:
        """F1*, the mean over the levels; NaN without any component."""
        found, missed, wrong = self.levels.double()
        total = 2 * found + missed + wrong
        return float((2 * found / total).mean())


def component_overlaps(
    predicted: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """sIoU of each true and PPV of each predicted component.

    Args:
        predicted (Tensor): (N,) numbers of the predicted components, 0 for
            none.
        truth (Tensor): (N,) numbers of the true components.

    Returns:
        tuple[Tensor, Tensor]: (G,) and (P,) float64 on the CPU, in the order
        of the numbers that occur.
    """
    table = _contingency(predicted.cpu(), truth.cpu())
    overlap = table[1:, 1:]
    touched = (overlap > 0).double()
    # Minus other truths, what K̂ adds to K is its part on no truth.
    union = table[1:].sum(1) + touched @ table[0, 1:]
    ppv = overlap.sum(0) / table[:, 1:].sum(0)
    return overlap.sum(1) / union, ppv


def _contingency(predicted: Tensor, truth: Tensor) -> Tensor:
    """Pixels of each pair, (G + 1, P + 1) float64; row, column 0 = none."""
    # A leading zero, so that the first number is that of "none".
    zero = predicted.new_zeros(1)
    columns, column = torch.cat([zero, predicted]).unique(return_inverse=True)
    rows, row = torch.cat([zero, truth]).unique(return_inverse=True)
    pairs = (row * len(columns) + column)[1:]
    table = torch.bincount(pairs, minlength=len(rows) * len(columns))
    return table.reshape(len(rows), len(columns)).double()


def _large(components: Tensor, min_size: int) -> Tensor:
    """Whether each pixel's component has ``min_size`` pixels or more."""
    if min_size <= 1 or len(components) == 0:
        return torch.ones_like(components, dtype=torch.bool)
    return torch.bincount(components)[components] >= min_size


def _ratio(total: Tensor, number: Tensor) -> float:
    return float(total / number) if number else math.nan
