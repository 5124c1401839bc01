"""Statistics of a whole image, for one Gaussian over images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST = 1e-3  # spread of a channel


def channel_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (B, D, h, w) -> (B, D) each."""
    std, mean = torch.std_mean(features.float(), (2, 3), correction=0)
    return mean, std


def channel_moments_of_finite(features: Tensor) -> tuple[Tensor, Tensor]:
    """The same from the finite values; NaN for a channel without any.

    It looks at the data, which a graph cannot.
    """
    mean, std = channel_moments(features)
    if mean.isfinite().all() and std.isfinite().all():
        return mean, std
    finite = features.isfinite()
    values = features.double().masked_fill(~finite, 0)  # squares fit
    number = finite.sum((2, 3), keepdim=True)
    mean = values.sum((2, 3), keepdim=True) / number
    squares = (values - mean).square().masked_fill(~finite, 0)
    std = (squares.sum((2, 3), keepdim=True) / number).sqrt()
    return mean[:, :, 0, 0].float(), std[:, :, 0, 0].float()


def style(mean: Tensor, std: Tensor) -> Tensor:
    """Mean and log spread of each channel, (B, D) each -> (B, 2 D).

    Channel statistics of early layers carry the style of an image and hardly
    its content (Huang and Belongie, arXiv 1703.06868): blur, noise, colours,
    another camera.
    """
    return torch.cat([mean, (std + _SMALLEST).log()], 1)


def signal_to_noise(mean: Tensor, std: Tensor) -> Tensor:
    """Mean over spread of each channel, (B, D) each -> (B, D).

    What is left of the style when the strength of a channel's answers is
    taken out, and half as many numbers: it sees artefacts of compression
    and changed textures better, and a change of scale less.
    """
    return mean / (std + _SMALLEST)


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
    return (std + _SMALLEST).log()


@dataclass(frozen=True)
class ImageStatistic:
    """One of the statistics.

    Attributes:
        function (Callable): (B, D, h, w) -> (B, D'), without looking at the
            data.
        of_finite (Callable): The same of the values that are finite.
        dimensions (Callable): D -> D'.
        shrinkage (float): Of the covariance of images. The more, the less
            directions count in which images hardly differ.
    """

    function: Callable[[Tensor], Tensor]
    of_finite: Callable[[Tensor], Tensor]
    dimensions: Callable[[int], int]
    shrinkage: float


def _of_channels(
    function: Callable[[Tensor, Tensor], Tensor], times: int, shrinkage: float
) -> ImageStatistic:
    return ImageStatistic(
        lambda features: function(*channel_moments(features)),
        lambda features: function(*channel_moments_of_finite(features)),
        lambda channels: times * channels,
        shrinkage,
    )


STATISTICS: dict[str, ImageStatistic] = dict(
    style=_of_channels(style, 2, 0.1),
    signal_to_noise=_of_channels(signal_to_noise, 1, 0.01),
    colors=ImageStatistic(colors, colors, lambda channels: 3, 0.1),
)
