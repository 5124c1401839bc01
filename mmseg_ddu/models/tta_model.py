"""Test-time augmentation that merges the maps as well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ddu.registry import MODELS

from .heads import last_decode_head
from .map_names import NOVELTY, PERCENTILE

NOT_AFTER_MERGING = ('flip', 'flip_direction', 'scale', 'scale_factor')
TINY = torch.finfo(torch.float32).tiny


@MODELS.register_module()
class DDUTTAModel(SegTTAModel):
    """Means over the augmentations of one image, for any of our methods.

    mmseg's ``SegTTAModel`` merges the class probabilities and hands out the
    sample of the last augmentation, with that one's logits and maps. Here
    the sample is a new one: probabilities are merged as there (mean of
    softmax or sigmoid), ``seg_logits`` holds their logarithm (for binary
    heads the probability, as in mmseg), and the maps are the means of those
    of the augmentations, which arrive un-flipped and at the size of the
    original image; so is ``image_novelty``. Percentiles are those of the
    means. Fields without a merging rule are left out, labels (``gt_*``) are
    kept.

    Args:
        module (dict or nn.Module): The segmentor.
    """

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return self.module.out_channels

    @property
    def gda_head(self):
        """The density head of the segmentor, if it has one."""
        return self.module.gda_head

    @property
    def image_novelty(self):
        """The novelty of images, if the segmentor is fitted."""
        return self.module.image_novelty

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """One sample per image from those of its augmentations.

        Raises:
            ValueError: If the predictions of an image differ in size or in
                their maps.
        """
        return [self._merge(samples) for samples in data_samples_list]

    def _merge(self, samples: Sequence[SegDataSample]) -> SegDataSample:
        first = samples[0]
        merged = SegDataSample(
            metainfo={
                key: value
                for key, value in first.metainfo.items()
                if key not in NOT_AFTER_MERGING and not key.startswith(NOVELTY)
            }
        )
        for name, value in first.items():
            if name.startswith('gt_'):
                merged.set_data({name: value})
        self._merge_maps(samples, merged)
        logits = [_field(sample, 'seg_logits') for sample in samples]
        logits, classes = self._classify(logits)
        merged.seg_logits = PixelData(data=logits)
        merged.pred_sem_seg = PixelData(data=classes)
        return merged

    def _merge_maps(
        self, samples: Sequence[SegDataSample], merged: SegDataSample
    ) -> None:
        names = {
            name: None
            for sample in samples
            for name in sample.keys()  # noqa: SIM118
            if name.startswith('pred_') and name != 'pred_sem_seg'
        }
        for name in names:
            if name.endswith(PERCENTILE):
                continue
            values = _mean([_field(s, name) for s in samples], name)
            merged.set_data({name: PixelData(data=values)})
            if name + PERCENTILE in names:
                short = name.removeprefix('pred_')
                share = self.module.percentile(short, values)
                merged.set_data({name + PERCENTILE: PixelData(data=share)})
        if NOVELTY in samples[0].metainfo:
            every = [torch.as_tensor(s.metainfo[NOVELTY]) for s in samples]
            mean = torch.stack(every).mean()
            share = self.module.image_novelty.percentile(mean)
            merged.set_metainfo({NOVELTY: mean, NOVELTY + PERCENTILE: share})

    def percentile(self, name: str, values: Tensor) -> Tensor:
        """As :meth:`DDUMixin.percentile`."""
        return self.module.percentile(name, values)

    def map_range(self, name: str) -> tuple[float, float]:
        """As :meth:`DDUMixin.map_range`."""
        return self.module.map_range(name)

    def _classify(self, logits: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Merged ``seg_logits`` and classes, (C, H, W) and (1, H, W)."""
        if self.out_channels == 1:  # probabilities already
            probs = _mean(logits, 'seg_logits')
            threshold = last_decode_head(self.module).threshold
            return probs, (probs > threshold).to(probs)
        probs = _mean([each.softmax(0) for each in logits], 'seg_logits')
        return probs.clamp_min(TINY).log(), probs.argmax(0, keepdim=True)


def _field(sample: SegDataSample, name: str) -> Tensor:
    if name not in sample:
        raise ValueError(
            f'One augmentation of {sample.get("img_path")} has no {name}.'
        )
    return sample.get(name).data


def _mean(values: list[Tensor], name: str) -> Tensor:
    sizes = {tuple(value.shape[-2:]) for value in values}
    if len(sizes) > 1:
        raise ValueError(
            f'Expected {name} of all augmentations to be of the size of the '
            f'original image, but got {sorted(sizes)}. Augmentations may '
            'flip and resize, but not crop.'
        )
    total = values[0].clone()
    for value in values[1:]:
        total += value
    return total / len(values)
