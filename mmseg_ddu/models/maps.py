"""How uncertainty maps travel with the logits through a segmentor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from torch import Tensor

from mmseg_ddu.core.scores import softmax_entropy

from .heads import last_decode_head


class UncertaintyMapsMixin:
    """Adds per-pixel maps to an mmseg segmentor, before it in the bases.

    ``encode_decode`` of a subclass returns the logits with ``num_maps``
    further channels behind them. They go through sliding windows,
    un-padding, un-flipping and resizing as channels of one tensor, exactly
    as the logits do, and part at the end into the fields ``pred_sem_seg``,
    ``seg_logits``, ``pred_epistemic`` and ``pred_aleatoric``, the last two
    (1, H, W) and rising with uncertainty.
    """

    @property
    def num_maps(self) -> int:
        """Channels that travel behind the logits."""
        return 1

    def calibrated(self, logits: Tensor) -> Tensor:
        """Final logits as they are handed out, (C, H, W) -> (C, H, W)."""
        return logits

    def split_maps(self, logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Fields of one image from its final logits and maps.

        Args:
            logits (Tensor): (C, H, W) at the original size.
            maps (Tensor): (num_maps, H, W).

        Returns:
            dict[str, Tensor]: Field name to (1, H, W).
        """
        raise NotImplementedError

    @contextmanager
    def _maps_counted(self) -> Iterator[None]:
        """mmseg's sliding window sizes its buffer with out_channels."""
        channels = self.out_channels
        self.out_channels = channels + self.num_maps
        try:
            yield
        finally:
            self.out_channels = channels

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Sliding windows over logits and maps together."""
        with self._maps_counted():
            return super().slide_inference(inputs, batch_img_metas)

    def postprocess_result(self, seg_logits: Tensor, data_samples=None):
        """Undo padding, flip and resize, then part logits and maps."""
        if self.num_maps == 0:
            return super().postprocess_result(seg_logits, data_samples)
        samples = super().postprocess_result(seg_logits, data_samples)
        for sample in samples:
            everything = sample.seg_logits.data
            logits = everything[: self.out_channels]
            maps = everything[self.out_channels :]
            logits = self.calibrated(logits)
            fields = self.split_maps(logits, maps)
            if self.out_channels > 1:
                # As argmax, in half the time on a CPU.
                classes = logits.max(0, keepdim=True).indices
            else:  # mmseg hands out probabilities for binary heads
                logits = logits.sigmoid()
                threshold = last_decode_head(self).threshold
                classes = (logits > threshold).to(logits)
            fields.update(seg_logits=logits, pred_sem_seg=classes)
            for name, value in fields.items():
                sample.set_data({name: PixelData(data=value)})
        return samples

    def test_step(self, data):
        """Predict a batch, whose images may differ in size."""
        return self._by_size(data, super().test_step)

    def val_step(self, data):
        """The same during training."""
        return self._by_size(data, super().val_step)

    @staticmethod
    def _by_size(data, step):
        """Run a step on the images of each size and restore the order.

        mmseg refuses a batch of images of several sizes. Padding them to one
        size would let the padding into the receptive fields.
        """
        inputs = data['inputs']
        groups: dict[tuple, list[int]] = {}
        for index, image in enumerate(inputs):
            groups.setdefault(tuple(image.shape), []).append(index)
        if len(groups) == 1:
            return step(data)
        results = [None] * len(inputs)
        for members in groups.values():
            part = {
                key: [values[i] for i in members]
                for key, values in data.items()
            }
            for index, sample in zip(members, step(part)):
                results[index] = sample
        return results


def entropy_map(logits: Tensor) -> Tensor:
    """Softmax entropy of one image, (C, H, W) -> (1, H, W), in nats.

    The highest there is, log C, where a logit is not a number.
    """
    top = math.log(max(2, len(logits)))
    return softmax_entropy(logits[None])[0].nan_to_num(nan=top)


def concatenate_maps(
    logits: Tensor, maps: Tensor, align_corners: bool
) -> Tensor:
    """Logits (B, C, H, W) and maps (B, M, h, w) as one float32 tensor."""
    if maps.shape[2:] != logits.shape[2:]:
        maps = F.interpolate(
            maps.float(),
            logits.shape[2:],
            mode='bilinear',
            align_corners=align_corners,
        )
    return torch.cat([logits.float(), maps.float()], 1)
