"""Which pixels of a prediction are refused."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_ddu.core.bounds import is_lost
from mmseg_ddu.core.precise_module import PreciseModule

PREFIX = 'abstention.'  # of its keys in the state dict of a segmentor
REFUSED = 'pred_abstain'


def refuses(model: nn.Module) -> bool:
    """Whether predictions of a model say which pixels are refused."""
    return bool(getattr(getattr(model, 'abstention', None), 'ready', False))


class Abstention(PreciseModule):
    """Refuses pixels whose total uncertainty is above a threshold.

    Without thresholds nothing is refused, and the state dict has no key.

    Attributes:
        thresholds (Tensor): (C,) of ``pred_total``, by predicted class.
        ready (bool): Whether there are any.
    """

    thresholds: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        endless = torch.full((num_classes,), torch.inf)
        self.register_buffer('thresholds', endless)
        self.ready = False

    def forward(self, total: Tensor, classes: Tensor) -> Tensor:
        """Whether pixels are refused, bool, the shape of ``total``.

        A pixel without a score is, whatever the threshold.
        """
        return is_lost(total) | (total > self.thresholds[classes.long()])

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        if self.ready:
            super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        given = state_dict.get(f'{prefix}thresholds')
        self.ready = given is not None
        if given is None:  # they are found after a fit, or never
            return
        shape = self.thresholds.shape
        if given.shape != shape or given.isnan().any():
            raise ValueError(
                f'Expected thresholds of an abstention of shape {tuple(shape)}'
                f' in the checkpoint, but got {tuple(given.shape)}, or not '
                'numbers. Find them again with tools/fit_abstention.py.'
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)
