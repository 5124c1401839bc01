"""Test-time augmentation that merges the maps as well."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ddu.registry import MODELS

from .abstention import REFUSED
from .heads import last_decode_head
from .map_names import NOVELTY, PERCENTILE, STATISTICS

NOT_AFTER_MERGING = ('flip', 'flip_direction', 'scale', 'scale_factor')
DERIVED = ('pred_sem_seg', REFUSED, PERCENTILE)
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

    Raises:
        ValueError: If classes were added to it: their margins have no
            merging rule.
    """

    def __init__(self, module, **kwargs) -> None:
        super().__init__(module=module, **kwargs)
        if getattr(getattr(self.module, 'gda_head', None), 'added', ()):
            raise ValueError(
                f'The classes {self.module.gda_head.added} were added by '
                'their density, which is not merged over augmentations. '
                'Predict without tta.'
            )

    def __getattr__(self, name: str):
        """What is not its own is the segmentor's: head, percentiles …"""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__('module'), name)

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """One sample per image from those of its augmentations.

        Raises:
            ValueError: If the predictions of an image differ in size.
        """
        return [self._merge(samples) for samples in data_samples_list]

    def _merge(self, samples: Sequence[SegDataSample]) -> SegDataSample:
        first = samples[0]
        meta = first.metainfo
        for key in NOT_AFTER_MERGING:
            meta.pop(key, None)
        merged = SegDataSample(metainfo=meta)
        fields = {}
        for name, value in first.items():
            if name.startswith('gt_'):
                merged.set_data({name: value})
            elif name == 'seg_logits':
                logits, classes = self._classify(_values(samples, name))
                fields.update(seg_logits=logits, pred_sem_seg=classes)
            elif name.startswith('pred_') and not name.endswith(DERIVED):
                fields[name] = _mean(_values(samples, name), name)
                if name + PERCENTILE in first:
                    fields[name + PERCENTILE] = self.percentile(
                        name.removeprefix('pred_'), fields[name]
                    )
        if REFUSED in first:
            warnings.warn(
                'Pixels are refused by thresholds that were found without '
                'augmentations: their promise does not hold with them.',
                stacklevel=2,
            )
            both = fields['pred_total'], fields['pred_sem_seg']
            fields[REFUSED] = self.abstention(*both)
        merged.set_data(
            {name: PixelData(data=data) for name, data in fields.items()}
        )
        if NOVELTY in meta:
            mean, vector = (
                torch.stack(
                    [torch.as_tensor(s.get(key)) for s in samples]
                ).mean(0)
                for key in (NOVELTY, STATISTICS)
            )
            share = self.image_novelty.percentile(mean)
            numbers = {NOVELTY + PERCENTILE: share, STATISTICS: vector}
            merged.set_metainfo({NOVELTY: mean, **numbers})
        return merged

    def _classify(self, logits: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Merged ``seg_logits`` and classes, (C, H, W) and (1, H, W)."""
        if self.out_channels == 1:  # probabilities already
            probs = _mean(logits, 'seg_logits')
            threshold = last_decode_head(self.module).threshold
            return probs, (probs > threshold).to(probs)
        probs = _mean([each.softmax(0) for each in logits], 'seg_logits')
        return probs.clamp_min(TINY).log(), probs.argmax(0, keepdim=True)


def _values(samples: Sequence[SegDataSample], name: str) -> list[Tensor]:
    return [sample.get(name).data for sample in samples]


def _mean(values: list[Tensor], name: str) -> Tensor:
    sizes = {tuple(value.shape[-2:]) for value in values}
    if len(sizes) > 1:
        raise ValueError(
            f'Expected {name} of all augmentations to be of the size of the '
            f'original image, but got {sorted(sizes)}. Augmentations may '
            'flip and resize, but not crop.'
        )
    return sum(values[1:], values[0]) / len(values)
