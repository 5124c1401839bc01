"""From predictions as mmengine hands them out to what metrics count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmseg_ddu.core.metrics.metric import VOID, JudgedImage
from mmseg_ddu.core.metrics.pixel_ranking import OOD
from mmseg_ddu.models.abstention import REFUSED
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE

TINY = torch.finfo(torch.float32).tiny
IN_DISTRIBUTION, OUT_OF_DISTRIBUTION = 0, 1  # in gt_ood_map


def judge(
    sample: dict, ignore_index: int = VOID, stride: int = 1
) -> JudgedImage:
    """A prediction with its labels, on the device of the prediction.

    Args:
        sample (dict): ``SegDataSample.to_dict()``. Without ``gt_ood_map``
            nothing is out of distribution, without labels all is void.
        ignore_index (int): Void label.
        stride (int): Take every n-th pixel in both directions.
    """

    def field(name: str) -> Tensor:
        return sample[name]['data'][..., ::stride, ::stride]

    classes = field('pred_sem_seg').squeeze(0)
    label = torch.full_like(classes, VOID)
    if 'gt_sem_seg' in sample:
        label = field('gt_sem_seg').squeeze(0).to(classes.device)
        label = label.where(label != ignore_index, VOID)
    image = JudgedImage(classes, label)
    if 'gt_ood_map' in sample:
        ood = field('gt_ood_map').squeeze(0).to(classes.device)
        ordinary = ood == IN_DISTRIBUTION
        image.unlabelled = ordinary & (label == VOID)
        image.labels = label.where(ordinary, VOID)
        image.strange = {OOD: ood == OUT_OF_DISTRIBUTION}
    if 'seg_logits' in sample:
        image.logits = field('seg_logits')
        if len(image.logits) == 1:  # mmseg hands out a probability
            both = torch.cat([1 - image.logits, image.logits])
            image.logits = both.clamp_min(TINY).log()
    if REFUSED in sample:
        image.refused = field(REFUSED).squeeze(0)
    if NOVELTY in sample:
        image.novelty = float(sample[NOVELTY])
        image.novelty_percentile = float(sample[NOVELTY + PERCENTILE])
    return image


def score_maps(
    sample: dict, fields: Sequence[str] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Name without ``pred_``, and (H, W) map, of each score.

    Args:
        sample (dict): As above.
        fields (Sequence[str], optional): Names; None for those of the maps
            that are there.

    Raises:
        KeyError: If a field that was asked for is not there.
    """
    for field in fields or [f'pred_{name}' for name in MAPS]:
        if field in sample:
            yield field.removeprefix('pred_'), sample[field]['data'].squeeze(0)
        elif fields is not None:
            there = sorted(k for k in sample if k.startswith('pred_'))
            raise KeyError(
                f'The metrics are to judge {field}, but the predictions have '
                f'only {there}; correct scores=… of the metric.'
            )
