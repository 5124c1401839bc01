"""What a view makes of a feature before its Gaussians see it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BLOCK_NUMBERS = 1 << 20  # floats: 4 MiB


def raw(features: Tensor) -> Tensor:
    """The feature as it is, (N, D) -> (N, D)."""
    return features


def direction(features: Tensor) -> Tensor:
    """Unit vectors, (N, D) -> (N, D); the zero vector stays zero.

    L2 normalisation before a Gaussian: Mahalanobis++ (Müller and Hein,
    arXiv 2505.18032).
    """
    return features.float() * inverse_norms(features)[:, None]


def log_norm(features: Tensor) -> Tensor:
    """Logarithm of the length, (N, D) -> (N, 1)."""
    return -inverse_norms(features).log()[:, None]


def inverse_norms(features: Tensor) -> Tensor:
    """One over the length, (N, D) -> (N,); no second array of that size."""
    size = max(1, _BLOCK_NUMBERS // features.shape[1])
    squares = [block.float().square().sum(1) for block in features.split(size)]
    lengths = torch.cat(squares).sqrt()
    where = lengths.isinf().nonzero().flatten()
    if len(where):  # from 1e19 on, float32 squares overflow
        large = features.index_select(0, where).float()
        largest = large.abs().amax(1, keepdim=True)
        lengths[where] = largest[:, 0] * (large / largest).norm(dim=1)
    return lengths.clamp_min(1e-12).reciprocal()


TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = dict(
    raw=raw, direction=direction, log_norm=log_norm
)


def transformed_features(transform: str, num_features: int) -> int:
    """Dimensions after a transform."""
    return 1 if transform == 'log_norm' else num_features


def flatten_pixels(features: Tensor) -> Tensor:
    """(B, D, h, w) -> (B h w, D); no copy if B is 1."""
    return features.movedim(1, -1).reshape(-1, features.shape[1])


def unflatten_pixels(scores: Tensor, like: Tensor) -> Tensor:
    """(B h w,) -> (B, 1, h, w) for ``like`` of shape (B, D, h, w)."""
    return scores.reshape(like.shape[0], 1, *like.shape[2:])
