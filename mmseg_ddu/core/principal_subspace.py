"""Gaussians in a subspace, and one isotropic Gaussian for the rest.

Probabilistic principal components (Tipping and Bishop, 1999).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .moments import ClassMoments

LOG_2_PI = math.log(2 * math.pi)


def principal_subspace(
    moments: ClassMoments, rank: int
) -> tuple[Tensor, Tensor]:
    """Directions of most variance, (D, rank), and the mean of the rest, ()."""
    variances, directions = torch.linalg.eigh(moments.total_scatter())
    dropped = variances[:-rank].clamp_min(0).mean()
    residual = dropped / (moments.counts.sum() - 1).clamp_min(1)
    return directions[:, -rank:].flip(1), residual


def project(
    vectors: Tensor, basis: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Coordinates, (N, D) -> (N, K), and log density of the rest, (N,).

    ``noise`` is the variance of each dimension that is dropped.
    """
    everything = vectors.square().sum(1)
    vectors = vectors @ basis
    residual = (everything - vectors.square().sum(1)).clamp_min(0)
    log_noise = (basis.shape[0] - basis.shape[1]) * (LOG_2_PI + noise.log())
    return vectors, -0.5 * (residual / noise + log_noise)
