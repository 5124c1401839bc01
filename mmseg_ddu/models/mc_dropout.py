"""MC dropout: the sampling baseline, with the same output fields."""

from __future__ import annotations

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor

from mmseg_ddu.core.dropout import active_dropout, dropout_modules
from mmseg_ddu.core.replay import PrefixReplay
from mmseg_ddu.core.scores import entropy, log_probabilities
from mmseg_ddu.registry import MODELS

from .maps import UncertaintyMapsMixin, concatenate_maps, entropy_map

TINY = torch.finfo(torch.float32).tiny


@MODELS.register_module()
class MCDropoutEncoderDecoder(UncertaintyMapsMixin, EncoderDecoder):
    """Average T stochastic passes of a network trained with dropout.

    Only dropout is stochastic; batch norm stays in eval. The passes share
    everything in front of the first active dropout, and running sums keep
    memory independent of T. The prediction is the argmax of the mean
    probabilities; ``seg_logits`` holds their logarithm.
    ``pred_epistemic`` is the mutual information, ``pred_aleatoric`` the
    expected entropy; their sum is the predictive entropy (Gal, Islam and
    Ghahramani 2017; Mukhoti and Gal, arXiv 1811.12709). All in nats.

    Args:
        num_passes (int): T.

    Raises:
        ValueError: If T < 1, or the network has no dropout with p > 0.
    """

    def __init__(self, *args, num_passes: int = 10, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if num_passes < 1:
            raise ValueError(
                f'Expected num_passes to be at least 1, but got {num_passes}.'
            )
        if not dropout_modules(self):
            raise ValueError(
                'MC dropout needs a network with dropout, but this one has '
                'no dropout with p > 0. Set dropout_ratio in the decode head '
                '(and train with it).'
            )
        self.num_passes = num_passes

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Log mean probabilities and mutual information, (B, C + 1, H, W).

        For a binary head (C = 1) the first channel is the logit of the mean
        probability.
        """
        with active_dropout(self) as modules:
            replay = PrefixReplay(self, modules)
            with replay.record():
                logits = super().encode_decode(inputs, batch_img_metas)
            probs, entropies = _probabilities(logits)
            for _ in range(self.num_passes - 1):
                with replay.replay():
                    logits = super().encode_decode(inputs, batch_img_metas)
                new_probs, new_entropies = _probabilities(logits)
                probs += new_probs
                entropies += new_entropies
        log_mean = (probs / self.num_passes).clamp_min(TINY).log()
        expected = entropies / self.num_passes
        information = (entropy(log_mean) - expected).clamp_min(0)
        if self.num_passes == 1:  # exactly, not up to rounding
            log_mean = log_probabilities(logits)
            information = torch.zeros_like(information)
        if self.out_channels == 1:
            log_mean = log_mean[:, 1:] - log_mean[:, :1]
        return concatenate_maps(log_mean, information, self.align_corners)

    def split_maps(self, logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
        predictive = entropy_map(logits)
        return dict(
            pred_epistemic=maps, pred_aleatoric=(predictive - maps).clamp(0)
        )


def _probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = log_probabilities(logits)
    return log_probs.exp(), entropy(log_probs)
