"""What segmentors that average several predictions share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from mmseg_ddu.core.posterior import PosteriorMean

from .heads import count_classes, last_decode_head
from .uncertainty_maps import UncertaintyMapsMixin, concatenate_maps


class SampledMapsMixin(UncertaintyMapsMixin):
    """Fields of a mean prediction.

    ``seg_logits`` is the logarithm of the mean probabilities,
    ``pred_epistemic`` the mutual information, ``pred_aleatoric`` the
    expected entropy, and ``pred_total`` their sum, the predictive entropy.
    All in nats.
    """

    def averaged(self, predictions: Iterable[Tensor]) -> Tensor:
        """Log mean probabilities and mutual information, (B, C + 1, H, W).

        Of logits (B, C, H, W). For a binary head (C = 1) the first channel is
        the logit of the mean probability.
        """
        mean = PosteriorMean()
        for logits in predictions:
            mean.update(logits)
        log_mean = mean.log_mean()
        # Not self.out_channels: sliding windows count the maps in it.
        if last_decode_head(self).out_channels == 1:
            log_mean = log_mean[:, 1:] - log_mean[:, :1]
        return concatenate_maps(
            log_mean, mean.mutual_information(), self.align_corners
        )

    def split_maps(self, entropies: Tensor, maps: Tensor) -> dict[str, Tensor]:
        # As much as there can be where a member gave no number.
        maps = maps.nan_to_num(nan=math.log(count_classes(self)))
        # Resizing averages both, so they can cross.
        information = torch.minimum(maps, entropies)
        return dict(
            pred_epistemic=maps,
            pred_aleatoric=entropies - information,
            pred_total=entropies,
        )
