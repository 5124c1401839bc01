"""Scores of sampled pixels of test images, row by row."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor, nn

from benchmarks.proof.training_statistics import TrainingStatistics
from mmseg_ddu.core.scores import energy, max_logit
from mmseg_ddu.engine.fitting_data import as_batch, seeded_order
from mmseg_ddu.models.gda_head import PENULTIMATE
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.models.map_names import MAPS, NOVELTY
from mmseg_ddu.models.tapped_modules import LOGITS
from mmseg_ddu.registry import DATASETS

PAPER = 'ddu-paper'
CONSTANT = 'constant per image'
CLASSES = 'classes of '
JOINT = ', '  # between the name of a sampling method and that of its score
OF_FEATURES = ('sml', 'knn', 'vim')
OTHERS = ('energy', 'max logit', *OF_FEATURES, CONSTANT, 'random')
ROWS = (*MAPS, PAPER, *OTHERS)
OF_PEERS = dict(epistemic='mutual information', total='predictive entropy')


@dataclass
class PixelScores:
    """Sampled pixels of some images.

    Attributes:
        scores (dict[str, Tensor]): Row to (N,).
        labels (Tensor): (N,) classes and void.
        classes (dict[str, Tensor]): Method to the (N,) classes it predicts;
            ``''`` for the network itself.
        values (Tensor): (N,) of the mask files, -1 without one.
        images (Tensor): (N,) number of the image.
        void (int): The label that counts in nothing.
    """

    scores: dict[str, Tensor]
    labels: Tensor
    classes: dict[str, Tensor]
    values: Tensor
    images: Tensor
    void: int

    @property
    def known(self) -> Tensor:
        """(N,) bool, the pixels of trained classes."""
        return self.labels != self.void

    def wrong(self, row: str) -> Tensor:
        """(N,) bool, misclassified by the method that a score is of."""
        method = row.partition(JOINT)[0]
        return self.classes.get(method, self.classes['']) != self.labels


@torch.no_grad()
def score_pixels(
    model: nn.Module,
    config: dict,
    statistics: TrainingStatistics | None,
    number: int,
    pixels: int,
    seed: int,
    peers: Mapping[str, nn.Module] | None = None,
) -> PixelScores:
    """Score sampled pixels of a seeded choice of images.

    Args:
        model (nn.Module): A fitted DDU segmentor in whole mode; its extra
            heads have rows of their names.
        config (dict): Of the data set.
        statistics (TrainingStatistics, optional): Of the same network;
            without it, there are no rows of other methods.
        number, pixels (int): Most images, and pixels of each.
        seed (int): Of both choices.
        peers (Mapping[str, nn.Module], optional): Name to a sampling method,
            which gives rows of its own.
    """
    dataset = DATASETS.build(copy.deepcopy(config))
    dataset.full_init()
    generator = torch.Generator().manual_seed(seed)
    parts: dict[str, list[Tensor]] = {}
    for image in seeded_order(len(dataset), seed)[:number]:
        item = dataset[image]
        sample, found = score_image(model, item, statistics)
        size = sample.pred_sem_seg.data.shape[1:]
        where = torch.randint(size.numel(), (pixels,), generator=generator)
        novelty = float(sample.metainfo[NOVELTY])
        chosen = {row: v.flatten()[where] for row, v in found.items()}
        chosen[CONSTANT] = torch.full((pixels,), novelty)
        chosen['random'] = torch.rand(pixels, generator=generator)
        chosen['labels'] = sample.gt_sem_seg.data.flatten()[where].long()
        chosen[CLASSES] = sample.pred_sem_seg.data.flatten()[where]
        for name, peer in (peers or {}).items():
            torch.manual_seed(seed + image)
            other = peer.test_step(as_batch(item))[0]
            chosen[CLASSES + name] = other.pred_sem_seg.data.flatten()[where]
            for field, score in OF_PEERS.items():
                values = other.get(f'pred_{field}').data.flatten()[where]
                chosen[name + JOINT + score] = values
        chosen['values'] = mask_values(sample, size).flatten()[where]
        chosen['images'] = torch.full((pixels,), image)
        for name, values in chosen.items():
            parts.setdefault(name, []).append(values)
    every = {name: torch.cat(values) for name, values in parts.items()}
    rest = ('labels', 'values', 'images')
    fields = {name: every.pop(name) for name in rest}
    named = [name for name in every if name.startswith(CLASSES)]
    classes = {name.removeprefix(CLASSES): every.pop(name) for name in named}
    void = last_decode_head(model).ignore_index
    return PixelScores(every, **fields, classes=classes, void=void)


def score_image(
    model: nn.Module, item: dict, statistics: TrainingStatistics | None
) -> tuple[SegDataSample, dict[str, Tensor]]:
    """One image of a data set: its prediction, and row to (1, 1, H, W).

    Extra heads have rows of their names. Rows that no pixel decides alone
    (constant per image, random) are left out.
    """
    with model.tap(classes=True) as tap:
        sample = model.test_step(as_batch(item))[0]
        features, logits = tap[PENULTIMATE], tap[LOGITS]
    size = sample.pred_sem_seg.data.shape[1:]
    found = {}
    if statistics is not None:
        found = other_scores(statistics, features, logits, size, model)
    for name in model.extra_heads:
        row = PAPER if name == 'paper' else name
        found[row] = sample.get(f'pred_epistemic_{name}').data[None]
    for name in MAPS:
        found[name] = sample.get(f'pred_{name}').data[None]
    full = sample.seg_logits.data[None]
    found['energy'], found['max logit'] = energy(full), max_logit(full)
    return sample, found


def other_scores(
    statistics: TrainingStatistics,
    features: Tensor,
    logits: Tensor,
    size: Sequence[int],
    model: nn.Module,
    rows: Sequence[str] = OF_FEATURES,
) -> dict[str, Tensor]:
    """Scores of every second cell, resized as ours are, (1, 1, H, W)."""
    shape = features[:, :, ::2, ::2].shape[2:]
    z = features[0, :, ::2, ::2].flatten(1).T
    y = logits[0, :, ::2, ::2].flatten(1).T
    inputs = dict(sml=(y,), knn=(z,), vim=(z, y))
    found = {}
    for row in rows:
        values = getattr(statistics, row)(*inputs[row])
        found[row] = nn.functional.interpolate(
            values.reshape(1, 1, *shape),
            size,
            mode='bilinear',
            align_corners=model.align_corners,
        )
    return found


def mask_values(sample: SegDataSample, size: Sequence[int]) -> Tensor:
    """Values of the mask file, (H, W); -1 if it has another size."""
    with Image.open(sample.metainfo['seg_map_path']) as file:
        values = np.array(file)
    if values.shape != tuple(size):
        return torch.full(tuple(size), -1)
    return torch.from_numpy(values).long()
