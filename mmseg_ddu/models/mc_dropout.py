"""MC dropout: the sampling baseline, with the same output fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack

from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from mmseg_ddu.core.dropout import (
    active_dropout,
    dropout_behind,
    dropout_modules,
)
from mmseg_ddu.core.errors import require
from mmseg_ddu.core.repeated_passes import RepeatedPasses
from mmseg_ddu.registry import MODELS

from .sampled_maps import SampledMapsMixin
from .tapped_modules import named_module

BACKBONE = 'backbone'
_STAGE = re.compile(r'(layer|stage|block)_?\d+')


@MODELS.register_module()
class MCDropoutEncoderDecoder(SampledMapsMixin, EncoderDecoder):
    """Average T stochastic passes of a network trained with dropout.

    Only dropout is stochastic; batch norm stays in eval. The passes share
    everything in front of the first active dropout, and running sums keep
    memory independent of T. The prediction is the argmax of the mean
    probabilities; ``seg_logits`` holds their logarithm. The fields are those
    of :class:`SampledMapsMixin`.

    Args:
        num_passes (int): T.
        dropout_after (str or Sequence[str]): Dotted names of modules behind
            which whole channels are dropped too, at test only, as
            ``['backbone.layer3', 'backbone.layer4']``. The string
            ``'backbone'`` stands for every stage of the backbone. The
            dropout layers of the network itself stay active.
        dropout_p (float): Probability of the dropout behind those.

    Raises:
        ValueError: If T < 1, a name is unknown, or there is no dropout with
            p > 0.
    """

    def __init__(
        self,
        *args,
        num_passes: int = 10,
        dropout_after: str | Sequence[str] = (),
        dropout_p: float = 0.1,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        require(num_passes >= 1, 'num_passes to be at least 1', num_passes)
        if dropout_after == BACKBONE:
            dropout_after = backbone_stages(self)
        elif isinstance(dropout_after, str):
            dropout_after = [dropout_after]
        for name in dropout_after:
            named_module(self, name)
        self.dropout_after = list(dropout_after)
        self.inserted_dropout = nn.ModuleList(
            nn.Dropout2d(dropout_p) for _ in self.dropout_after
        )
        if not dropout_modules(self):
            raise ValueError(
                'MC dropout needs a network with dropout, but this one has '
                'no dropout with p > 0. Set dropout_ratio in the decode head '
                '(and train with it), or dropout_after and dropout_p.'
            )
        self.num_passes = num_passes

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Log mean probabilities and mutual information, (B, C + 1, H, W)."""
        predict = super().encode_decode
        with ExitStack() as stack:
            modules = stack.enter_context(active_dropout(self))
            for name, layer in zip(self.dropout_after, self.inserted_dropout):
                module = self.get_submodule(name)
                stack.enter_context(dropout_behind(module, layer))
            repeated = RepeatedPasses(self, modules)

            def logits(number: int) -> Tensor:
                run = repeated.further_pass if number else repeated.first_pass
                with run():
                    return predict(inputs, batch_img_metas)

            return self.averaged(map(logits, range(self.num_passes)))


def backbone_stages(segmentor: nn.Module) -> list[str]:
    """Names of the stages of the backbone (``backbone.layer1`` and so on).

    Raises:
        ValueError: If the backbone has none that can be told by its name.
    """
    children = [name for name, _ in segmentor.backbone.named_children()]
    stages = [name for name in children if _STAGE.fullmatch(name)]
    if not stages:
        raise ValueError(
            "dropout_after='backbone' found no stages (layer1, layer2, …) in "
            f'{type(segmentor.backbone).__name__}; name the modules. It has '
            f'{children}.'
        )
    return [f'backbone.{name}' for name in stages]
