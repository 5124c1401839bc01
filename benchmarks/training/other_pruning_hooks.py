"""What ProsPr is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_ddu.engine.pruning import ProsPrHook, prunable_weights
from mmseg_ddu.registry import HOOKS


@HOOKS.register_module()
class SNIPHook(ProsPrHook):
    """Weight times gradient of one batch: ProsPr without a trial step."""

    def __init__(self, sparsity: float) -> None:
        super().__init__(sparsity)
        self.steps = 0


@HOOKS.register_module()
class RandomPruningHook(ProsPrHook):
    """Any weights, by the seed of the training."""

    def scores(self, runner, model: nn.Module) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(runner.seed)
        return {
            name: torch.rand(weight.shape, generator=generator)
            for name, weight in prunable_weights(model).items()
        }
