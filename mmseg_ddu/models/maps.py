"""How uncertainty maps travel with the logits through a segmentor."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ddu.core.scores import softmax_entropy

from .heads import last_decode_head

FLIPPED_AXES = dict(horizontal=(3,), vertical=(2,), diagonal=(2, 3))


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

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Sliding windows over logits and maps together.

        As in mmseg, but each window is added in its place: there it is
        padded to the size of the image first, which doubles the memory and,
        on a large image, takes most of the time.

        Args:
            inputs (Tensor): (B, 3, H, W), preprocessed.
            batch_img_metas (list[dict]): Their meta information.

        Returns:
            Tensor: (B, C + num_maps, H, W), means over the windows.
        """
        batch, _, height, width = inputs.shape
        channels = self.out_channels + self.num_maps
        total = inputs.new_zeros(batch, channels, height, width)
        count = inputs.new_zeros(1, 1, height, width)
        for y1, y2, x1, x2 in windows(height, width, self.test_cfg):
            crop = inputs[:, :, y1:y2, x1:x2]
            batch_img_metas[0]['img_shape'] = crop.shape[2:]
            part = self.encode_decode(crop, batch_img_metas)
            total[:, :, y1:y2, x1:x2] += part
            count[:, :, y1:y2, x1:x2] += 1
        return total.div_(count)

    def postprocess_result(self, seg_logits: Tensor, data_samples=None):
        """Undo padding, flip and resize, then part logits and maps."""
        if self.num_maps == 0:
            return super().postprocess_result(seg_logits, data_samples)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for image, sample in zip(seg_logits.split(1), data_samples):
            image = restored(image, sample.metainfo, self.align_corners)[0]
            for name, value in self._fields(image).items():
                sample.set_data({name: PixelData(data=value)})
        return data_samples

    def _fields(self, everything: Tensor) -> dict[str, Tensor]:
        """Logits and maps of one image, (C + num_maps, H, W), as fields."""
        logits = self.calibrated(everything[: self.out_channels])
        # A copy: whoever keeps a map should not keep the logits with it.
        maps = everything[self.out_channels :].clone()
        fields = self.split_maps(logits, maps)
        if self.out_channels > 1:
            # As argmax, in half the time on a CPU.
            classes = logits.max(0, keepdim=True).indices
        else:  # mmseg hands out probabilities for binary heads
            logits = logits.sigmoid()
            threshold = last_decode_head(self).threshold
            classes = (logits > threshold).to(logits)
        return dict(fields, seg_logits=logits, pred_sem_seg=classes)

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


def restored(image: Tensor, meta: dict, align_corners: bool) -> Tensor:
    """Without padding, flip and resizing, (1, C, h, w) -> (1, C, H, W)."""
    padding = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
    left, right, top, bottom = padding
    height, width = image.shape[2:]
    image = image[:, :, top : height - bottom, left : width - right]
    if meta.get('flip'):
        image = image.flip(FLIPPED_AXES[meta['flip_direction']])
    size = tuple(meta.get('ori_shape', image.shape[2:]))
    if size == image.shape[2:]:  # large images have no memory for a copy
        return image
    return F.interpolate(
        image, size, mode='bilinear', align_corners=align_corners
    )


def windows(
    height: int, width: int, test_cfg: dict
) -> list[tuple[int, int, int, int]]:
    """``(y1, y2, x1, x2)`` of mmseg's sliding windows, or of the image."""
    if test_cfg.get('mode', 'whole') != 'slide':
        return [(0, height, 0, width)]
    crops, strides = test_cfg['crop_size'], test_cfg['stride']
    return [
        (y, min(y + crops[0], height), x, min(x + crops[1], width))
        for y in _starts(height, crops[0], strides[0])
        for x in _starts(width, crops[1], strides[1])
    ]


def _starts(size: int, crop: int, stride: int) -> list[int]:
    count = max(size - crop + stride - 1, 0) // stride + 1
    return [max(min(i * stride, size - crop), 0) for i in range(count)]


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
