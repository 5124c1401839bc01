"""How alike the features of two pixels are, by class, image and distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts

SAME_IMAGE, OTHER_IMAGE, OTHER_CLASS = range(3)
KINDS = ('same class, same image', 'same class, other image', 'other class')


class PairSimilarities(NamedTuple):
    """What :func:`pair_similarities` returns; B bins run over distance.

    Attributes:
        counts (Tensor): (C, 3, B) pairs whose first member is of class c, by
            kind (see ``KINDS``).
        means (Tensor): (C, 3, B) mean cosine; NaN without a pair.
        stds (Tensor): (C, 3, B) standard deviation.
        separability (Tensor): (C,) AUROC of telling pairs of the class from
            different images from pairs with another class; NaN if one side
            is missing.
    """

    counts: Tensor
    means: Tensor
    stds: Tensor
    separability: Tensor


def pair_similarities(
    features: Tensor,
    labels: Tensor,
    positions: Tensor,
    images: Tensor,
    edges: Sequence[float],
    num_classes: int,
) -> PairSimilarities:
    """Cosine similarity of all pairs of features, by class and distance.

    Costs N² D multiply-adds; memory is that of one pair of classes.

    Args:
        features (Tensor): (N, D); subtract the mean of all features first
            for centred cosines, which are far more telling: behind a ReLU
            all features point the same way.
        labels (Tensor): (N,) classes.
        positions (Tensor): (N, 2) shares of height and width.
        images (Tensor): (N,) numbers of the images.
        edges (Sequence[float]): Of the distance bins, rising. Pairs outside
            them are not counted.
        num_classes (int): C.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=1)
    bounds = torch.tensor(edges, dtype=torch.float32)
    bins = len(edges) - 1
    sums = torch.zeros(3, num_classes, 3, bins, dtype=torch.float64)
    ranking = [RankingCounts() for _ in range(num_classes)]
    members = [
        (labels == label).nonzero().flatten() for label in range(num_classes)
    ]
    for first, rows in enumerate(members):
        for second, columns in enumerate(members):
            if not len(rows) or not len(columns):
                continue
            cosine = unit[rows] @ unit[columns].T
            distance = torch.cdist(positions[rows], positions[columns])
            kind = torch.full(cosine.shape, OTHER_CLASS)
            if first == second:
                same = images[rows][:, None] == images[columns]
                kind = torch.where(same, SAME_IMAGE, OTHER_IMAGE)
            where = torch.bucketize(distance, bounds, right=True) - 1
            counted = (where >= 0) & (where < bins)
            if first == second:  # not with itself
                counted.fill_diagonal_(False)
            slot = (kind * bins + where)[counted]
            values = cosine[counted].double()
            for power, total in enumerate(sums):
                total[first].view(-1).index_add_(0, slot, values**power)
            usable = counted & (kind != SAME_IMAGE)
            ranking[first].update(
                cosine[usable], (kind == OTHER_IMAGE)[usable]
            )
    counts, total, squares = sums
    means = total / counts
    stds = (squares / counts - means.square()).clamp_min(0).sqrt()
    separability = torch.tensor([each.auroc() for each in ranking])
    return PairSimilarities(counts.long(), means, stds, separability)
