"""What a view makes of a feature before its Gaussians see it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def raw(features: Tensor) -> Tensor:
    """The feature as it is, (N, D) -> (N, D)."""
    return features


def direction(features: Tensor) -> Tensor:
    """Unit vectors, (N, D) -> (N, D); the zero vector stays zero.

    L2 normalisation before a Gaussian: Mahalanobis++ (Müller and Hein,
    arXiv 2505.18032).
    """
    features = features.float()
    return features / features.norm(dim=1, keepdim=True).clamp_min(1e-12)


def log_norm(features: Tensor) -> Tensor:
    """Logarithm of the length, (N, D) -> (N, 1)."""
    norm = features.float().norm(dim=1, keepdim=True)
    return norm.clamp_min(1e-12).log()


TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = dict(
    raw=raw, direction=direction, log_norm=log_norm
)


def transformed_features(transform: str, num_features: int) -> int:
    """Dimensions after a transform."""
    return 1 if transform == 'log_norm' else num_features


def flatten_pixels(features: Tensor) -> Tensor:
    """(B, D, h, w) -> (B h w, D)."""
    return features.movedim(1, -1).reshape(-1, features.shape[1])


def unflatten_pixels(scores: Tensor, like: Tensor) -> Tensor:
    """(B h w,) -> (B, 1, h, w) for ``like`` of shape (B, D, h, w)."""
    return scores.reshape(like.shape[0], 1, *like.shape[2:])
