"""What is measured on one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.apis.unseen_images import labelled_prediction
from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts
from mmseg_ddu.core.scores import energy
from mmseg_ddu.datasets.pasted_patches import (
    paste,
    recoloured,
    scrambled,
    textured,
)
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.models.map_names import MAPS

CONSTANT = 'constant per image'
ROWS = (*MAPS, 'energy', 'random')
EVERY_ROW = (*ROWS, CONSTANT)
PASTED = (textured, scrambled, recoloured)
PIXELS = 2000  # of an image
FIT_VECTORS = 64  # of a class and an image


def measure_image(
    model: nn.Module, item: dict, seed: int, pasted: Tensor | None = None
) -> Part:
    """Scores of sampled pixels, and the calibration of all of them.

    Args:
        pasted (Tensor, optional): (H, W) bool, of the input.

    Returns:
        Part: Each row of ``ROWS``, ``known`` and ``wrong``, and ``pasted`` if
        it was given, (PIXELS,); ``bins`` (n_bins, 3) of
        :class:`CalibrationCounts`; ``right`` and ``labelled`` pixels;
        ``seen`` classes; ``novelty``.

    Raises:
        ValueError: If the image has no labels, or one that is no class.
    """
    # The labels of shifted images count.
    item['data_samples'].pop('gt_ood_map', None)
    sample, judged = labelled_prediction(model, item)
    calibration = CalibrationCounts()
    calibration.count(judged)
    maps = {name: sample.get(f'pred_{name}').data for name in MAPS}
    maps.update(known=judged.known, wrong=judged.wrong)
    if pasted is not None:
        shape = judged.labels.shape
        maps['pasted'] = F.interpolate(pasted[None, None].float(), shape) > 0
    generator = torch.Generator().manual_seed(seed)
    total = judged.labels.numel()
    where = torch.randint(total, (PIXELS,), generator=generator)
    part = {name: m.cpu().flatten()[where] for name, m in maps.items()}
    logits = sample.seg_logits.data.cpu().flatten(1)[:, where]
    part.update(
        energy=energy(logits[None])[0, 0],
        random=torch.rand(PIXELS, generator=generator),
        bins=calibration.bins,
        right=judged.right.sum(),
        labelled=judged.known.sum(),
        seen=judged.labels[judged.known].unique(),
        novelty=torch.tensor(judged.novelty),
    )
    return {name: value.cpu().numpy() for name, value in part.items()}


def measure_pasted(
    model: nn.Module, item: dict, donor: dict, seed: int
) -> Part:
    """The same with a changed piece of another image."""
    generator = torch.Generator().manual_seed(seed)
    inputs, mask = paste(item['inputs'], donor['inputs'], generator, PASTED)
    return measure_image(model, dict(item, inputs=inputs), seed, mask)


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
