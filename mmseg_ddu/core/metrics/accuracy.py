"""How good the classes themselves are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        """Add the prediction of an image."""
        labels, classes = image.labels[image.known], image.classes[image.known]
        if image.logits is None:
            raise ValueError('The prediction has no logits.')
        number = len(image.logits)
        pairs = torch.bincount(
            number * labels.long() + classes.long(), minlength=number**2
        )
        self.merge_state(dict(table=pairs.view(number, number).cpu()))

    def state_dict(self) -> dict:
        return dict(table=self.table)

    def merge_state(self, state: Mapping[str, Any]) -> None:
        if len(self.table) and len(state['table']):
            self.table = self.table + state['table']
        elif len(state['table']):
            self.table = state['table']

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
