"""A view: which feature, seen how, with its own class Gaussians."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.core.discriminant import GaussianDiscriminant
from mmseg_ddu.core.grouping import ClassGroups
from mmseg_ddu.core.transforms import (
    TRANSFORMS,
    flatten_pixels,
    inverse_norms,
    transformed_features,
    unflatten_pixels,
)

PENULTIMATE = 'penultimate'
# Beside the taps: the class that the classifier predicts, on their grid.
PREDICTED = 'predicted'
MIN_PIXELS = 20

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
    # Both, each relative to what is usual for the predicted class.
    'class-polar': [
        dict(tap=PENULTIMATE, transform='direction', standardize=True),
        dict(tap=PENULTIMATE, transform='log_norm', standardize=True),
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
        standardize (bool): Score with the Gaussian of the predicted class
            alone, standardised by the mean and spread of that score on
            training pixels of the same prediction. Class densities have
            different heights (their log-determinants), so ``-log p`` ranks
            classes before it ranks pixels; this takes the heights out (as
            Standardized Max Logits do for logits, Jung et al., ICCV 2021).
        density: Further arguments of :class:`GaussianDiscriminant`.
    """

    class_mean: Tensor
    class_std: Tensor

    def __init__(
        self,
        num_classes: int,
        tap: str = PENULTIMATE,
        transform: str = 'raw',
        channels: int | None = None,
        standardize: bool = False,
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
        self.standardize = standardize
        if standardize:
            self.register_buffer('class_mean', torch.zeros(num_classes))
            self.register_buffer('class_std', torch.ones(num_classes))
        dim = transformed_features(transform, channels)
        if dim == 1:
            density['rank'] = None
        self.density = GaussianDiscriminant(num_classes, dim, **density)

    def vectors(self, features: Tensor) -> Tensor:
        """Features of the tap, (B, D, h, w) -> (B h w, D') transformed.

        Raises:
            ValueError: If the tap gives another number of channels.
        """
        self._check(features)
        return self.transformed(flatten_pixels(features))

    def transformed(self, pixels: Tensor) -> Tensor:
        """Pixels (N, D) -> (N, D') as the density sees them."""
        return TRANSFORMS[self.transform](pixels)

    def _check(self, features: Tensor) -> None:
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise ValueError(
                f'Expected the feature {self.tap!r} to be of shape '
                f'(B, {self.channels}, h, w), but got '
                f'{tuple(features.shape)}. The densities belong to another '
                'network, or channels in the view is wrong.'
            )

    def calibrate(self, vectors: Tensor, predicted: Tensor | None) -> None:
        """Store mean and spread of the score for each predicted class.

        A class with fewer than 20 pixels takes those of all pixels.

        Args:
            vectors (Tensor): (N, D') transformed features of training
                pixels.
            predicted (Tensor, optional): (N,) their predicted classes.
        """
        if not self.standardize:
            return
        scores = -self.density.log_prob_of(vectors, predicted)
        self.class_mean.fill_(scores.mean())
        self.class_std.fill_(spread(scores))
        for label in predicted.unique().tolist():
            chosen = scores[predicted == label]
            if len(chosen) >= MIN_PIXELS:
                self.class_mean[label] = chosen.mean()
                self.class_std[label] = spread(chosen)

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Score of transformed vectors, (N, D') -> (N,).

        ``-log p`` in nats, or in standard deviations if ``standardize``.

        Args:
            vectors (Tensor): (N, D').
            predicted (Tensor or ClassGroups, optional): (N,) predicted
                classes, needed if ``standardize``.
            scale (Tensor, optional): (N,), multiplies the vectors.
        """
        if not self.standardize:
            return -self.density.score_samples(vectors, scale)
        if not isinstance(predicted, ClassGroups):
            predicted = ClassGroups(predicted, self.density.num_classes)
        scores = -self.density.log_prob_of(vectors, predicted, scale)
        labels = predicted.labels
        return (scores - self.class_mean[labels]) / self.class_std[labels]

    def forward(
        self, feature: Tensor, predicted: Tensor | ClassGroups | None = None
    ) -> Tensor:
        """Score per pixel, (B, D, h, w) -> (B, 1, h, w).

        Args:
            feature (Tensor): What the tap gave.
            predicted (Tensor or ClassGroups, optional): (B h w,) predicted
                classes, needed if ``standardize``.
        """
        self._check(feature)
        vectors, scale = flatten_pixels(feature), None
        if self.transform == 'direction':  # without a normalised copy
            scale = inverse_norms(vectors)
        else:
            vectors = TRANSFORMS[self.transform](vectors)
        scores = self.score(vectors, predicted, scale)
        return unflatten_pixels(scores, feature)


def classes_on_grid(predicted: Tensor, grid: tuple[int, int]) -> Tensor:
    """Nearest neighbour, (B, 1, H, W) -> (B, 1, h, w) integers."""
    if predicted.shape[2:] != grid:
        predicted = F.interpolate(
            predicted.float(), grid, mode='nearest-exact'
        )
    return predicted.long()


def spread(scores: Tensor) -> Tensor:
    """Standard deviation to divide by: 1 where all scores are equal."""
    deviation = scores.std(unbiased=False)
    return torch.where(deviation > 0, deviation, torch.ones_like(deviation))
