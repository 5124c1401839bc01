"""The densities whose cost is measured; nothing else takes one apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmseg_ddu.core import ClassGroups, GaussianDiscriminant

STRIDE = 4  # of the feature map that is scored
RANK = 64


def head_options(channels: int) -> dict[str, dict]:
    """Arguments of the density heads that are compared with the default.

    Args:
        channels (int): Of the feature.
    """
    return dict(
        fast=dict(views='class-polar', rank=min(RANK, channels // 2)),
        full=dict(views='ddu-paper', covariance_type='full', rank=None),
    )


def scoring(model: nn.Module, data: dict) -> Callable[[], Tensor]:
    """The scoring of one batch alone, without the network."""
    prepared = model.data_preprocessor(data, False)
    meta = [sample.metainfo for sample in prepared['data_samples']]
    _, features = next(model.iter_features(prepared['inputs'], meta))
    return lambda: model.gda_head(features)


# Ways to score a map -> multiply-adds for N pixels, C classes, D features.
PATHS: dict[str, Callable[[int, int, int], int]] = {
    'predicted class': lambda n, c, d: n * d * (d + 128) // 2,
    'predicted class, rank 64': lambda n, c, d: n * RANK * (d + RANK),
    'all classes, full': lambda n, c, d: n * c * d * (d + 128) // 2,
}


def paths(
    size: int, classes: int, width: int, device: torch.device
) -> dict[str, Callable[[], Tensor]]:
    """The ways to score a random map of an image of this size.

    Args:
        size (int): Height and width of the image.
        classes (int): C.
        width (int): D; a rank of 64 is left out if it is no more.
        device (torch.device): Where it runs.
    """
    pixels = (size // STRIDE) ** 2
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(width, pixels, generator=rng).to(device).T
    regions = torch.arange(pixels, device=device) * 6 // pixels % classes
    groups = ClassGroups(regions, classes)
    exact = _density(classes, width, None, device)
    predicted, low_rank, every = PATHS
    functions = {
        predicted: lambda: exact.log_prob_of(features, groups),
        every: lambda: exact.score_samples(features),
    }
    if width > RANK:
        low = _density(classes, width, RANK, device)
        functions[low_rank] = lambda: low.log_prob_of(features, groups)
    return functions


def _density(
    classes: int, width: int, rank: int | None, device: torch.device
) -> GaussianDiscriminant:
    """Equal classes, so that early stopping finds nothing to stop."""
    density = GaussianDiscriminant(classes, width, rank=rank)
    dim = rank or width
    density.precisions_cholesky.copy_(
        torch.eye(dim) + 0.01 * torch.ones(dim, dim).triu(1)
    )
    if rank:
        density.basis.copy_(torch.eye(width)[:, :rank])
    density.residual_variance.fill_(1)
    density.fitted.fill_(True)
    return density.to(device)
