"""What is measured on one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts
from mmseg_ddu.core.metrics.metric import JudgedImage
from mmseg_ddu.core.scores import energy
from mmseg_ddu.datasets.pasted_patches import (
    paste,
    recoloured,
    scrambled,
    textured,
)
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.evaluation.judged_samples import judge
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.models.map_names import MAPS

CONSTANT = 'constant per image'
ROWS = (*MAPS, 'energy', 'random')
PASTED = (textured, scrambled, recoloured)
FIT_VECTORS = 64  # of a class and an image


@torch.no_grad()
def measure_image(
    model: nn.Module, item: dict, pixels: int, seed: int
) -> Part:
    """Scores of sampled pixels, and the calibration of all of them.

    Returns:
        Part: Each row of ``ROWS``, ``known`` and ``wrong``, (pixels,);
        ``bins`` (n_bins, 3) of :class:`CalibrationCounts`; ``right`` and
        ``labelled`` pixels; ``seen`` classes; ``novelty``.

    Raises:
        ValueError: If the image has no labels, or one that is no class.
    """
    sample = model.test_step(as_batch(item))[0].to_dict()
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            'The images have no labels. Give images with labels: '
            'LoadAnnotations must be in the pipeline of the data set.'
        )
    sample.pop('gt_ood_map', None)  # the labels of shifted images count
    judged = judge(sample, last_decode_head(model).ignore_index)
    part = _pixels(sample, judged, pixels, seed)
    calibration = CalibrationCounts()
    calibration.count(judged)
    part['bins'] = calibration.bins
    part['right'], part['labelled'] = judged.right.sum(), judged.known.sum()
    part['seen'] = judged.labels[judged.known].unique()
    part['novelty'] = torch.tensor(judged.novelty)
    return {name: value.cpu().numpy() for name, value in part.items()}


def _pixels(
    sample: dict, judged: JudgedImage, pixels: int, seed: int
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    total = judged.labels.numel()
    where = torch.randint(total, (pixels,), generator=generator)
    logits = sample['seg_logits']['data'].cpu().flatten(1)[:, where]
    found = dict(
        known=judged.known.cpu().flatten()[where],
        wrong=judged.wrong.cpu().flatten()[where],
        energy=energy(logits[None])[0, 0],
        random=torch.rand(pixels, generator=generator),
    )
    for name in MAPS:
        found[name] = sample[f'pred_{name}']['data'].cpu().flatten()[where]
    return found


@torch.no_grad()
def measure_pasted(
    model: nn.Module, item: dict, donor: dict, pixels: int, seed: int
) -> Part:
    """The same with a changed piece of another image; ``pasted`` (pixels,).

    The positions are drawn from the seed, as those of the scores are.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, mask = paste(item['inputs'], donor['inputs'], generator, PASTED)
    part = measure_image(model, dict(item, inputs=inputs), pixels, seed)
    shape = item['data_samples'].gt_sem_seg.data.shape[1:]
    mask = F.interpolate(mask[None, None].float(), shape).flatten()
    generator = torch.Generator().manual_seed(seed)
    where = torch.randint(len(mask), (pixels,), generator=generator)
    part['pasted'] = (mask[where] > 0).numpy()
    return part


@torch.no_grad()
def measure_fit(model: nn.Module, item: dict, seed: int) -> Part:
    """Vectors as the density sees them, (N, D'), and their classes."""
    image = labelled_image(model, item)
    found = [
        window.vectors(model.gda_head, FIT_VECTORS, seed, place)
        for place, window in enumerate(image.windows(model))
    ]
    vectors, labels = (torch.cat(column).cpu() for column in zip(*found))
    return dict(vectors=vectors.numpy(), labels=labels.numpy())
