"""How good the classes themselves are."""

from __future__ import annotations

import torch
from torch import Tensor

from . import METRIC
from .metric import JudgedImage, Metric


@METRIC.register('accuracy')
class ConfusionCounts(Metric):
    """Mean IoU over the classes that occur, and the share of right pixels.

    ``tools/test.py`` has mmseg's own; this one is for the comparison.
    """

    per_map = False
    in_test = False
    columns = ('mIoU',)

    def __init__(self) -> None:
        self.table = torch.zeros(0, 0, dtype=torch.int64)

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        if image.logits is None:
            raise ValueError('The prediction has no logits.')
        labels, classes = image.labels[image.known], image.classes[image.known]
        number = len(image.logits)
        pairs = number * labels.long() + classes.long()
        table = torch.bincount(pairs, minlength=number**2)
        self.merge_state(dict(table=table.view(number, number).cpu()))

    def figures(self) -> dict[str, float]:
        """``mIoU`` and ``accuracy``."""
        right = self.table.diag().double()
        union = self.table.sum(0) + self.table.sum(1) - right
        if not union.any():
            return {}
        return dict(
            mIoU=float((right / union)[union > 0].mean()),
            accuracy=float(right.sum() / self.table.sum()),
        )
