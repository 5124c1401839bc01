"""A view: which feature, seen how, with its own class Gaussians."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_ddu.core.discriminant import GaussianDiscriminant
from mmseg_ddu.core.transforms import (
    TRANSFORMS,
    flatten_pixels,
    transformed_features,
    unflatten_pixels,
)

PENULTIMATE = 'penultimate'

PRESETS: dict[str, list[dict]] = {
    # The paper: one full-covariance Gaussian per class on the penultimate
    # feature, no class prior (arXiv 2111.00079, 2102.11582).
    'ddu-paper': [dict(tap=PENULTIMATE, transform='raw')],
    # L2-normalised features (Mahalanobis++, arXiv 2505.18032).
    'direction': [dict(tap=PENULTIMATE, transform='direction')],
    # Direction and length apart; both too short and too long are unusual.
    'polar': [
        dict(tap=PENULTIMATE, transform='direction'),
        dict(tap=PENULTIMATE, transform='log_norm'),
    ],
}


def resolve_views(views: str | Sequence[dict]) -> list[dict]:
    """The list of view configs behind a preset name or a list.

    Raises:
        ValueError: On an unknown preset or an empty list.
    """
    if isinstance(views, str):
        if views not in PRESETS:
            raise ValueError(
                f'Expected views to be a list or one of {sorted(PRESETS)}, '
                f'but got {views!r}.'
            )
        views = PRESETS[views]
    if not views:
        raise ValueError('Expected at least one view.')
    return [copy.deepcopy(dict(view)) for view in views]


class View(nn.Module):
    """One tap, one transform, one Gaussian discriminant.

    Args:
        num_classes (int): C.
        tap (str): ``penultimate``, the input of the classifier, or the name
            of a submodule of the segmentor whose output is taken
            (``decode_head.bottleneck``, ``backbone.layer3``).
        transform (str): ``raw``, ``direction`` (L2-normalised) or
            ``log_norm``.
        channels (int): D of the tap.
        density: Further arguments of :class:`GaussianDiscriminant`.
    """

    def __init__(
        self,
        num_classes: int,
        tap: str = PENULTIMATE,
        transform: str = 'raw',
        channels: int | None = None,
        **density,
    ) -> None:
        super().__init__()
        if transform not in TRANSFORMS:
            raise ValueError(
                f'Expected transform to be one of {sorted(TRANSFORMS)}, but '
                f'got {transform!r}.'
            )
        if channels is None:
            raise ValueError(
                f'The number of channels of view {tap!r} is not known; set '
                'channels in the view.'
            )
        self.tap = tap
        self.transform = transform
        self.channels = channels
        dim = transformed_features(transform, channels)
        if dim == 1:
            density['rank'] = None
        self.density = GaussianDiscriminant(num_classes, dim, **density)

    def vectors(self, features: Tensor) -> Tensor:
        """Features of the tap, (B, D, h, w) -> (B h w, D') transformed.

        Raises:
            ValueError: If the tap gives another number of channels.
        """
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise ValueError(
                f'Expected the feature {self.tap!r} to be of shape '
                f'(B, {self.channels}, h, w), but got '
                f'{tuple(features.shape)}. The densities belong to another '
                'network, or channels in the view is wrong.'
            )
        return TRANSFORMS[self.transform](flatten_pixels(features))

    def score(self, vectors: Tensor) -> Tensor:
        """``-log p`` of transformed vectors, (N, D') -> (N,), in nats."""
        return -self.density.score_samples(vectors)

    def forward(self, features: Tensor) -> Tensor:
        """``-log p`` per pixel, (B, D, h, w) -> (B, 1, h, w), in nats."""
        return unflatten_pixels(self.score(self.vectors(features)), features)
