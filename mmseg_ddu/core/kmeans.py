"""A class cut into parts, from a sample of its vectors."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 25


def class_centers(
    vectors: Tensor,
    labels: Tensor,
    num_classes: int,
    components: int,
    seed: int = 0,
) -> Tensor:
    """Centres of k-means in each class, (C, components, D) float32.

    Seeded as k-means++ (Arthur and Vassilvitskii, 2007), then Lloyd's
    iterations, in float64. A class with fewer different vectors than
    components has its last centres at infinity, where nothing is nearest.

    Args:
        vectors (Tensor): (N, D).
        labels (Tensor): (N,) classes; others are ignored.
        num_classes (int): C.
        components (int): Parts of each class.
        seed (int): Of the random choices.
    """
    dim = vectors.shape[1]
    centers = torch.full((num_classes, components, dim), torch.inf)
    for label in range(num_classes):
        own = vectors[labels == label].double()
        own = own[own.isfinite().all(1)]
        if len(own):
            generator = torch.Generator().manual_seed(seed * 65_536 + label)
            found = _kmeans(own, components, generator)
            centers[label, : len(found)] = found.float()
    return centers.nan_to_num(posinf=1e18)


def nearest_part(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """The nearest centre of the own class, (N, D) -> (N,) in [0, C parts).

    -1 where the label is no class; centres are (C, parts, D).
    """
    classes, parts = centers.shape[:2]
    known = (labels >= 0) & (labels < classes)
    own = centers[labels.where(known, 0).to(centers.device)]
    gaps = own.to(features.device) - features.float()[:, None]
    nearest = gaps.square().sum(2).argmin(1).to(labels)
    return torch.where(known, labels * parts + nearest, -1)


def _kmeans(
    vectors: Tensor, components: int, generator: torch.Generator
) -> Tensor:
    """At most ``components`` centres, (K, D)."""
    first = torch.randint(len(vectors), (1,), generator=generator)
    centers = vectors[first]
    for _ in range(components - 1):
        gaps = torch.cdist(vectors, centers).amin(1).square()
        if not gaps.any():
            break
        new = torch.multinomial(gaps, 1, generator=generator)
        centers = torch.cat([centers, vectors[new]])
    for _ in range(ITERATIONS):
        nearest = torch.cdist(vectors, centers).argmin(1)
        count = torch.bincount(nearest, minlength=len(centers))
        sums = torch.zeros_like(centers).index_add_(0, nearest, vectors)
        moved = torch.where(
            count[:, None] > 0, sums / count.clamp_min(1)[:, None], centers
        )
        if torch.equal(moved, centers):
            break
        centers = moved
    return centers
