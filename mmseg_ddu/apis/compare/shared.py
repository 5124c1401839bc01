"""Several methods from one forward pass, for the time it saves.

The numbers are those that each method gives alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor

from mmseg_ddu.core.posterior import PosteriorMean
from mmseg_ddu.models import DDUEncoderDecoder, MCDropoutEncoderDecoder
from mmseg_ddu.models.uncertainty_maps import (
    UncertaintyMapsMixin,
    concatenate_maps,
)


class SharedPass(UncertaintyMapsMixin, EncoderDecoder):
    """A plain network with the densities of several DDU models on it.

    Gives the field ``pred_epistemic_i`` for the i-th of them.
    """

    def share(self, models: Sequence[DDUEncoderDecoder]) -> None:
        """Let other models' densities read the features of this network."""
        for model in models:
            for name, child in self.named_children():
                if name != 'data_preprocessor':
                    setattr(model, name, child)
        self._guests = tuple(models)  # a tuple is no submodule

    @property
    def num_maps(self) -> int:
        return len(self._guests)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Logits and one score for each model, (B, C + K, H, W)."""
        with ExitStack() as stack:
            taps = [stack.enter_context(m.tap()) for m in self._guests]
            logits = super().encode_decode(inputs, batch_img_metas)
        for model, tap in zip(self._guests, taps):
            scores = model.gda_head(model.features(tap))
            logits = concatenate_maps(logits, scores, self.align_corners)
        return logits

    def split_maps(self, logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
        return {f'pred_epistemic_{i}': m[None] for i, m in enumerate(maps)}


class SharedDropout(MCDropoutEncoderDecoder):
    """MC dropout with several numbers of passes from one run.

    The first t of T passes are t passes. Gives the fields
    ``seg_logits_t`` and ``pred_epistemic_t`` for each t.

    Args:
        snapshots (Sequence[int]): The numbers of passes.
    """

    def __init__(self, *args, snapshots: Sequence[int], **kwargs) -> None:
        self.snapshots = sorted(set(snapshots), reverse=True)
        super().__init__(*args, num_passes=self.snapshots[0], **kwargs)

    @property
    def num_maps(self) -> int:
        channels = self.decode_head.out_channels
        return len(self.snapshots) * (channels + 1) - channels

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """For each number of passes, log mean and mutual information."""
        parts = {}
        mean = PosteriorMean()
        for logits in self.passes(inputs, batch_img_metas):
            mean.update(logits)
            if mean.count in self.snapshots:
                parts[mean.count] = self.averaged(mean)
        return torch.cat([parts[count] for count in self.snapshots], 1)

    def split_maps(self, logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
        step = len(logits) + 1
        fields = {}
        everything = torch.cat([logits, maps])
        for index, count in enumerate(self.snapshots):
            part = everything[index * step : (index + 1) * step]
            fields[f'seg_logits_{count}'] = part[:-1]
            fields[f'pred_epistemic_{count}'] = part[-1:]
        return fields
