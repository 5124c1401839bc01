"""The covariance of a class that few images show."""

from __future__ import annotations

import torch
from torch import Tensor

from .covariance import oas_shrinkage


def few_shot_covariance(
    vectors: Tensor, images: int, shared: Tensor, least: float
) -> Tensor:
    """``(1 - a) S + a T``: what the vectors say, and what all classes share.

    The weight a is that of oracle approximating shrinkage (Chen et al.,
    2010) with one sample an image: the vectors of an image are nearly
    copies. Of one image a is 1.

    Args:
        vectors (Tensor): (N, K), float64.
        images (int): They are of so many.
        shared (Tensor): T, (K, K), positive definite.
        least (float): The smallest weight.
    """
    if images < 2 or len(vectors) < 2:
        return shared.clone()
    own = torch.cov(vectors.mT).reshape(shared.shape)
    biased = own * (len(vectors) - 1) / len(vectors)
    weight = oas_shrinkage(biased, torch.tensor(float(images)).to(own))
    return own.lerp(shared, weight.clamp_min(least))


def shared_covariance(factors: Tensor, weights: Tensor) -> Tensor:
    """Mean covariance of Gaussians, (K, K).

    Of factors of their precisions, (G, K, K) or (G, K), or (1, K, K) if
    tied, with (G,) weights, which add up to 1.
    """
    if len(factors) < len(weights):  # tied
        weights = weights.new_ones(1)
    if factors.ndim == 2:
        return (weights @ factors.pow(-2)).diag()
    eye = torch.eye(factors.shape[1]).to(factors)
    shared = torch.zeros_like(eye)
    for factor, weight in zip(factors, weights):  # to need less memory
        inverse = torch.linalg.solve_triangular(factor, eye, upper=True)
        shared += weight * inverse.mT @ inverse
    return shared
