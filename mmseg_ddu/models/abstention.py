"""Which pixels of a prediction are refused."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_ddu.core.precise_module import PreciseModule

PREFIX = 'abstention.'  # of its keys in the state dict of a segmentor
REFUSED = 'pred_abstain'


class Abstention(PreciseModule):
    """Refuses pixels whose total uncertainty is above a threshold.

    Args:
        num_classes (int): C.

    Attributes:
        thresholds (Tensor): (C,) of ``pred_total``, by predicted class; NaN
            until some are set.
    """

    thresholds: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        none = torch.full((num_classes,), math.nan)
        self.register_buffer('thresholds', none)
        self.ready = False

    def set_thresholds(self, thresholds: Tensor) -> None:
        """Refuse by these from now on, (C,)."""
        self.thresholds.copy_(thresholds)
        self.ready = True

    def forward(self, total: Tensor, classes: Tensor) -> Tensor:
        """Whether pixels are refused, bool, the shape of ``total``."""
        return total > self.thresholds[classes.long()]

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        given = state_dict.get(f'{prefix}thresholds')
        self.ready = given is not None and not bool(given.isnan().any())
