"""Keep convolutions from stretching distances too much, in training."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from torch import nn

from mmseg_ddu.core.operator_norm import OperatorNorm
from mmseg_ddu.registry import HOOKS

from .ranks import without_wrapper

WARM_UP = 30  # steps before the first cap, and after resuming


@HOOKS.register_module()
class SpectralCapHook(Hook):
    """Cap the operator norm of convolutions after each training step.

    A weight whose norm is above the coefficient is scaled down to it; one
    below is left alone (projection as in Gouk et al., arXiv 1804.04368; the
    norm as in DUE, arXiv 2102.11409, on convolutions). The weights stay
    those of a plain network, so checkpoints load without this hook.

    Off by default: it can cost much accuracy.

    Args:
        coefficient (float): The largest norm; 3 to 6 are usual.
        modules (str): The submodule whose convolutions are capped.
        steps (int): Power iterations after each training step.

    Raises:
        ValueError: If the coefficient or the steps are not positive.
    """

    priority = 'ABOVE_NORMAL'  # before weights are averaged and saved

    def __init__(
        self,
        coefficient: float,
        modules: str = 'backbone',
        steps: int = 1,
    ) -> None:
        if not coefficient > 0 or steps < 1:
            raise ValueError(
                'Expected coefficient and steps to be positive, but got '
                f'{coefficient!r:.80} and {steps!r:.80}.'
            )
        self.coefficient, self.modules = coefficient, modules
        self.steps = steps
        self.capped: list[tuple[nn.Conv2d, OperatorNorm]] = []

    def before_train(self, runner) -> None:
        """Find the convolutions and cap what is above at once.

        Raises:
            ValueError: If there is none.
        """
        model = without_wrapper(runner.model)
        self.capped = [
            (module, OperatorNorm(module.weight, module.groups))
            for module in model.get_submodule(self.modules).modules()
            if isinstance(module, nn.Conv2d)
        ]
        if not self.capped:
            raise ValueError(
                f'There is no convolution in {self.modules} to cap.'
            )
        self._cap(WARM_UP)

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Cap what the step has pushed above."""
        self._cap(self.steps)

    @torch.no_grad()
    def _cap(self, steps: int) -> None:
        for module, norm in self.capped:
            found = norm.estimate(module.weight, steps)
            module.weight.div_((found / self.coefficient).clamp(min=1))
