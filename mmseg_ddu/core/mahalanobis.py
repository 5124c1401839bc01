"""Mahalanobis distances of vectors to Gaussians, by matrix products.

Factors P are upper triangular with ``P P^T = Σ^-1``.
"""

from __future__ import annotations

import torch
from torch import Tensor

HALVED = 256  # dimensions from which on halves save time


def distances(vectors: Tensor, factors: Tensor, shifts: Tensor) -> Tensor:
    """``|P^T x - s|``; in two halves where that saves time.

    P is triangular, so the first half needs half of the features.

    Args:
        vectors (Tensor): (G, n, K), or (n, K) for all G alike.
        factors (Tensor): (G, K, K).
        shifts (Tensor): (G, K), ``P^T μ``.

    Returns:
        Tensor: (G, n).
    """
    number, size = shifts.shape
    vectors = vectors.expand(number, *vectors.shape[-2:])
    half = size // 2 if size >= HALVED else 0
    parts = []
    for first, last in ((0, half), (half, size))[half == 0 :]:
        rows = torch.baddbmm(
            shifts[:, None, first:last],
            vectors[..., :last],
            factors[:, :last, first:last],
            beta=-1,
        )
        parts.append(torch.linalg.vector_norm(rows, dim=2))
    if len(parts) == 1:
        return parts[0]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0)


def tied_squares(vectors: Tensor, factor: Tensor, shifts: Tensor) -> Tensor:
    """Squared, of (N, K) with one factor (K, K) for all -> (N, G)."""
    white = vectors @ factor
    squares = (
        white.square().sum(1, keepdim=True)
        - 2 * white @ shifts.t()
        + shifts.square().sum(1)
    )
    return squares.clamp_min(0)


def diagonal_squares(
    vectors: Tensor, factors: Tensor, means: Tensor
) -> Tensor:
    """Squared, of (N, K) with one over deviations, (G, K) -> (N, G)."""
    weights = factors.square()
    squares = (
        vectors.square() @ weights.t()
        - 2 * vectors @ (weights * means).t()
        + (weights * means.square()).sum(1)
    )
    return squares.clamp_min(0)
