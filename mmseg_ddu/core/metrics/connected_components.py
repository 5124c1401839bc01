"""Is every unknown object found, and is every finding an object?

The component-level metrics of SegmentMeIfYouCan (Chan et al., 2021, arXiv
2104.14812), from maps in which the connected components are numbered.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmseg_ddu.core.errors import require

from .metric import Counts

# A truth counts as found, and a finding as right, from these shares on.
LEVELS = torch.arange(25, 76, 5, dtype=torch.float64) / 100


class ComponentCounts(Counts):
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
        shapes = [tuple(x.shape) for x in (predicted, truth, known)]
        same = len(set(shapes)) == 1
        require(same, 'predicted, truth and known of one shape', shapes)
        predicted, truth = predicted[known].long(), truth[known].long()
        predicted = predicted * (_sizes(predicted) >= self.min_predicted)
        keep = (truth == 0) | (_sizes(truth) >= self.min_truth)
        siou, ppv = component_overlaps(predicted[keep], truth[keep])
        for row, values in enumerate((siou, ppv)):
            self.sums[row, 0] += len(values)
            self.sums[row, 1] += values.sum()
        found = (siou[:, None] >= LEVELS).sum(0)
        self.levels[0] += found
        self.levels[1] += len(siou) - found
        self.levels[2] += (ppv[:, None] < LEVELS).sum(0)

    def siou(self) -> float:
        """Mean sIoU of the true components; NaN without any."""
        return float(self.sums[0, 1] / self.sums[0, 0])

    def ppv(self) -> float:
        """Mean PPV of the predicted components; NaN without any."""
        return float(self.sums[1, 1] / self.sums[1, 0])

    def f1(self) -> float:
        """F1*, the mean over the levels; NaN without any component."""
        found, missed, wrong = self.levels.double()
        total = 2 * found + missed + wrong
        return float((2 * found / total).mean())


def component_overlaps(
    predicted: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """sIoU of each true and PPV of each predicted component, on the CPU.

    Args:
        predicted, truth (Tensor): (N,) numbers of components, 0 for none.

    Returns:
        tuple[Tensor, Tensor]: (G,) and (P,) float64, in the order of the
        numbers that occur.
    """
    pair = truth.long().cpu().numpy(), predicted.long().cpu().numpy()
    shape = tuple(int(numbers.max(initial=0)) + 1 for numbers in pair)
    flat = np.ravel_multi_index(pair, shape)
    pixels = np.bincount(flat, minlength=shape[0] * shape[1])
    table = torch.from_numpy(pixels.reshape(shape)).double()
    overlap = table[1:, 1:]
    touched = (overlap > 0).double()
    # Minus other truths, what K̂ adds to K is its part on no truth.
    union = table[1:].sum(1) + touched @ table[0, 1:]
    ppv = overlap.sum(0) / table[:, 1:].sum(0)
    siou = overlap.sum(1) / union
    return siou[table[1:].sum(1) > 0], ppv[table[:, 1:].sum(0) > 0]


def _sizes(components: Tensor) -> Tensor:
    """Pixels of the component that each pixel belongs to."""
    return torch.bincount(components)[components]
