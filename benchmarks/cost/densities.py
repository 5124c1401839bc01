"""The densities whose cost is measured; nothing else takes one apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmseg_ddu.core.class_gaussians import DIRECTIONS
from mmseg_ddu.core.class_gaussians import NEAREST as OTHERS
from mmseg_ddu.core.densities.gaussian import GaussianDensity

STRIDE = 8  # of the cells that are scored, in pixels of the image
# Density heads beside the default.
HEADS = dict(every_cell=dict(stride=1))


def scoring(model: nn.Module, data: dict) -> Callable[[], Tensor]:
    """The scoring of one batch alone, without the network."""
    prepared = model.data_preprocessor(data, False)
    meta = [sample.metainfo for sample in prepared['data_samples']]
    _, features, _ = next(model.iter_features(prepared['inputs'], meta))
    return lambda: model.gda_head(features[model.gda_head.tap])


# Ways to score a map -> multiply-adds for N cells, C classes, D features.
NEAREST, EVERY = 'nearest Gaussians', 'every Gaussian'
PATHS: dict[str, Callable[[int, int, int], int]] = {
    NEAREST: lambda n, c, d: n * d * (d * (1 + OTHERS) + c * DIRECTIONS),
    EVERY: lambda n, c, d: n * c * d * d,
}


def paths(
    size: int, classes: int, width: int, device: torch.device
) -> dict[str, Callable[[], Tensor]]:
    """The ways to score a random map of an image of this size.

    Args:
        size (int): Height and width of the image.
        classes (int): C.
        width (int): D.
        device (torch.device): Where it runs.
    """
    rng = torch.Generator().manual_seed(0)
    density = GaussianDensity(classes, width)
    centers = torch.randn(classes, width, generator=rng)
    labels = torch.arange(max(4000, 4 * classes)) % classes
    noise = torch.randn(len(labels), width, generator=rng)
    moments = density.new_moments()
    density.fit_moments(moments.update(centers[labels] + noise, labels))
    density = density.to(device)
    pixels = (size // STRIDE) ** 2
    own = torch.arange(pixels) * 6 // pixels % classes
    features = torch.randn(pixels, width, generator=rng) + centers[own]
    features = features.to(device)
    return {
        NEAREST: lambda: density.score_samples(features),
        EVERY: lambda: density.log_prob(features).logsumexp(1),
    }
