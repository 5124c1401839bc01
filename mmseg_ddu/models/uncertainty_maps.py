"""How uncertainty maps travel with the logits through a segmentor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ddu.core.scores import softmax_entropy

from .heads import last_decode_head

Window = tuple[int, int, int, int]  # y1, y2, x1, x2
FLIPPED_AXES = dict(horizontal=(3,), vertical=(2,), diagonal=(2, 3))


class UncertaintyMapsMixin:
    """Adds per-pixel maps to an mmseg segmentor, before it in the bases.

    ``encode_decode`` of a subclass returns the logits with ``num_maps``
    further channels behind them. They go through sliding windows,
    un-padding, un-flipping and resizing as channels of one tensor, exactly
    as the logits do, and part at the end into the fields ``pred_sem_seg``,
    ``seg_logits`` and those of :meth:`split_maps`, (1, H, W) each and rising
    with uncertainty. Images of a batch that are treated alike go together.
    """

    @property
    def num_maps(self) -> int:
        """Channels that travel behind the logits."""
        return 1

    def calibrated(self, logits: Tensor) -> Tensor:
        """Final logits as they are handed out, (B, C, H, W)."""
        return logits

    def split_maps(self, entropies: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Fields of some images from what has arrived.

        Args:
            entropies (Tensor): Of the final logits, (B, 1, H, W) at the
                original size.
            maps (Tensor): (B, num_maps, H, W).

        Returns:
            dict[str, Tensor]: Field name to (B, 1, H, W).
        """
        raise NotImplementedError

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Sliding windows over logits and maps together.

        As in mmseg, but each window is added in its place: there it is
        padded to the size of the image first, which doubles the memory and,
        on a large image, takes most of the time.

        Images (B, 3, H, W) give (B, C + num_maps, H, W), means over the
        windows.
        """
        parts = (
            (window, self.encode_decode(crop, batch_img_metas))
            for window, crop in self.crops(inputs, batch_img_metas)
        )
        return self.mean_of_windows(inputs, parts)

    def crops(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Iterator[tuple[Window, Tensor]]:
        """Windows and what is in them; the metas say of what size that is."""
        for window in windows(*inputs.shape[2:], self.test_cfg):
            y1, y2, x1, x2 = window
            crop = inputs[:, :, y1:y2, x1:x2]
            batch_img_metas[0]['img_shape'] = crop.shape[2:]
            yield window, crop

    def mean_of_windows(
        self, inputs: Tensor, parts: Iterable[tuple[Window, Tensor]]
    ) -> Tensor:
        """Mean of windows at their places, (B, C + num_maps, H, W).

        Each is (B, C + num_maps, H', W').
        """
        batch, _, height, width = inputs.shape
        channels = self.out_channels + self.num_maps
        total = inputs.new_zeros(batch, channels, height, width)
        count = inputs.new_zeros(1, 1, height, width)
        for (y1, y2, x1, x2), part in parts:
            total[:, :, y1:y2, x1:x2] += part
            count[:, :, y1:y2, x1:x2] += 1
        return total.div_(count)

    def postprocess_result(self, seg_logits: Tensor, data_samples=None):
        """Undo padding, flip and resize, then part logits and maps."""
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        metas = [sample.metainfo for sample in data_samples]
        for members in _alike([_treatment(meta) for meta in metas]):
            images = _chosen(seg_logits, members)
            images = restored(images, metas[members[0]], self.align_corners)
            fields = self.fields(images)
            for place, member in enumerate(members):
                data_samples[member].set_data(
                    {
                        name: PixelData(data=values[place])
                        for name, values in fields.items()
                    }
                )
        return data_samples

    def fields(self, everything: Tensor) -> dict[str, Tensor]:
        """Final logits and maps, (B, C + num_maps, H, W), as fields."""
        channels = self.out_channels
        logits = self.calibrated(everything[:, :channels])
        entropies = softmax_entropy(logits)
        fields = self.split_maps(entropies, everything[:, channels:])
        fields['pred_sem_seg'] = self.classes_of(logits)
        # mmseg hands out probabilities for binary heads.
        fields['seg_logits'] = logits.sigmoid() if channels == 1 else logits
        return fields

    def classes_of(self, logits: Tensor) -> Tensor:
        """Predicted classes, (B, C, h, w) -> (B, 1, h, w)."""
        if logits.shape[1] > 1:
            # As argmax, in a quarter of the time on a CPU.
            return logits.max(1, keepdim=True).indices
        threshold = last_decode_head(self).threshold
        return (logits.sigmoid() > threshold).to(logits)

    def test_step(self, data):
        """Predict a batch, whose images may differ in size."""
        return self._by_size(data, super().test_step)

    def val_step(self, data):
        """The same during training."""
        return self._by_size(data, super().val_step)

    @staticmethod
    def _by_size(data, step):
        """Run a step on the images of each size and restore the order."""
        # mmseg refuses a batch of images of several sizes. Padding them to
        # one size would let the padding into the receptive fields.
        inputs = data['inputs']
        groups = _alike([tuple(image.shape) for image in inputs])
        if len(groups) == 1:
            return step(data)
        results = [None] * len(inputs)
        for members in groups:
            part = {
                key: [values[i] for i in members]
                for key, values in data.items()
            }
            for index, sample in zip(members, step(part)):
                results[index] = sample
        return results


def _alike(keys: Sequence[tuple]) -> list[list[int]]:
    """Numbers of equal keys, together."""
    groups: dict[tuple, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _chosen(images: Tensor, members: list[int]) -> Tensor:
    """Some images; not a copy of all of them."""
    return images if len(members) == len(images) else images[members]


def padding_of(meta: dict) -> tuple[int, int, int, int]:
    """Left, right, top, bottom."""
    return tuple(
        meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
    )


def _cut(images: Tensor, meta: dict) -> Tensor:
    """Without padding, (B, C, h, w) -> (B, C, H, W)."""
    left, right, top, bottom = padding_of(meta)
    height, width = images.shape[2:]
    return images[:, :, top : height - bottom, left : width - right]


def _treatment(meta: dict) -> tuple:
    """All that :func:`restored` looks at."""
    flip = meta.get('flip') and meta['flip_direction']
    return (padding_of(meta), flip, tuple(meta.get('ori_shape', ())))


def restored(images: Tensor, meta: dict, align_corners: bool) -> Tensor:
    """Without padding, flip and resizing, (B, C, h, w) -> (B, C, H, W)."""
    images = _cut(images, meta)
    if meta.get('flip'):
        images = images.flip(FLIPPED_AXES[meta['flip_direction']])
    size = tuple(meta.get('ori_shape', images.shape[2:]))
    if size == tuple(images.shape[2:]):  # no memory for a copy of large ones
        return images
    return F.interpolate(
        images, size, mode='bilinear', align_corners=align_corners
    )


def without_padding(
    inputs: Tensor, metas: Sequence[dict]
) -> Iterator[tuple[list[int], Tensor]]:
    """Images with equal padding together, cut to what is not padding.

    Yields the numbers of such images, and they themselves.
    """
    for members in _alike([padding_of(meta) for meta in metas]):
        yield members, _cut(_chosen(inputs, members), metas[members[0]])


def slide_sizes(test_cfg: Mapping) -> list[list[int]]:
    """``crop_size`` and ``stride`` of sliding windows.

    Raises:
        ValueError: If one is missing, or is not a height and a width.
    """
    sizes = []
    for name in ('crop_size', 'stride'):
        value = test_cfg.get(name)
        if not isinstance(value, Sequence) or len(value) != 2:
            raise ValueError(
                f"Expected model.test_cfg of mode='slide' to have {name}="
                f'(height, width), but got {value!r:.80}. Set it, or '
                "mode='whole'."
            )
        sizes.append(list(value))
    return sizes


def windows(height: int, width: int, test_cfg: dict) -> list[Window]:
    """``(y1, y2, x1, x2)`` of mmseg's sliding windows, or of the image.

    Raises:
        ValueError: If the windows have no sizes, or leave gaps.
    """
    if test_cfg.get('mode', 'whole') != 'slide':
        return [(0, height, 0, width)]
    crops, strides = slide_sizes(test_cfg)
    if any(stride > crop for stride, crop in zip(strides, crops)):
        raise ValueError(
            f'The sliding windows of test_cfg leave gaps: stride {strides} '
            f'is larger than crop_size {crops}, so some pixels would get no '
            'prediction. Make stride at most as large.'
        )
    return [
        (y, min(y + crops[0], height), x, min(x + crops[1], width))
        for y in _starts(height, crops[0], strides[0])
        for x in _starts(width, crops[1], strides[1])
    ]


def _starts(size: int, crop: int, stride: int) -> list[int]:
    last = max(size - crop, 0)
    return [min(start, last) for start in range(0, last + stride, stride)]


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
