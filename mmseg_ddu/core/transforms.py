"""What a view makes of a feature before its Gaussians see it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
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


def style(features: Tensor) -> Tensor:
    """Mean and log spread of each channel, (B, D, h, w) -> (B, 2 D).

    Channel statistics of early layers carry the style of an image and hardly
    its content (Huang and Belongie, arXiv 1703.06868): blur, noise, colours,
    another camera.
    """
    std, mean = torch.std_mean(features.float(), (2, 3), correction=0)
    return torch.cat([mean, (std + 1e-3).log()], 1)


def style_of_finite(features: Tensor) -> Tensor:
    """The same from the finite values; NaN for a channel without any.

    It looks at the data, which a graph cannot.
    """
    result = style(features)
    if result.isfinite().all():
        return result
    finite = features.isfinite()
    values = features.double().masked_fill(~finite, 0)  # squares fit
    number = finite.sum((2, 3), keepdim=True)
    mean = values.sum((2, 3), keepdim=True) / number
    squares = (values - mean).square().masked_fill(~finite, 0)
    std = (squares.sum((2, 3), keepdim=True) / number).sqrt()
    both = torch.cat([mean, (std + 1e-3).log()], 1)
    return both[:, :, 0, 0].float()


# Brightness, red against green, both against blue; orthonormal.
_OPPONENTS = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, -(2**-0.5), 0.0),
    (6**-0.5, 6**-0.5, -2 * 6**-0.5),
)


def colors(image: Tensor) -> Tensor:
    """Log spreads of opponent colours, (B, 3, H, W) -> (B, 3).

    Brightness, red against green, both against blue: sees grey and
    faded images, foreign contrast, and noise.
    """
    axes = image.new_tensor(_OPPONENTS, dtype=torch.float32)
    turned = F.conv2d(image.float(), axes[:, :, None, None])
    std = torch.std(turned, (2, 3), correction=0)
    return (std + 1e-3).log()


# Name to function and to its dimensions for D channels.
STATISTICS: dict[str, tuple[Callable[[Tensor], Tensor], Callable]] = dict(
    style=(style, lambda channels: 2 * channels),
    colors=(colors, lambda channels: 3),
)
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
