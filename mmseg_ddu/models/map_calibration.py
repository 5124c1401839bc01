"""How rare each value of a map is among held-out training pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_ddu.core.precise_module import PreciseModule
from mmseg_ddu.core.surprise import Surprise, total_surprise


class MapCalibration(PreciseModule):
    """Surprise of entropies and totals, and the temperature of the logits.

    That of the epistemic score belongs to the density head.
    """

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.aleatoric = Surprise(near_zero=True)
        self.total = Surprise()
        # Divides the logits; 1 unless one was asked for.
        self.register_buffer('temperature', torch.ones(()))

    @torch.no_grad()
    def fit(self, entropies: Tensor, epistemic: Tensor) -> Tensor:
        """Learn from calibration pixels.

        Args:
            entropies (Tensor): (N,) in nats.
            epistemic (Tensor): (N,) surprise of their densities.

        Returns:
            Tensor: (N,) their totals.
        """
        self.aleatoric.fit(entropies)
        total = total_surprise(self.aleatoric(entropies), epistemic)
        self.total.fit(total)
        return total
