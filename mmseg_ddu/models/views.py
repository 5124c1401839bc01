"""A view: which feature, seen how, with its own class Gaussians."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.core.bounds import standardized
from mmseg_ddu.core.discriminant import GaussianDiscriminant
from mmseg_ddu.core.grouping import ClassGroups
from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.sampling import pixels_of
from mmseg_ddu.core.shared_doubt import MIN_PIXELS
from mmseg_ddu.core.transforms import (
    TRANSFORMS,
    flatten_pixels,
    inverse_norms,
    transformed_features,
    unflatten_pixels,
)

from .presets import PENULTIMATE


class View(nn.Module):
    """One tap, one transform, one Gaussian discriminant.

    Args:
        num_classes (int): C.
        tap (str): ``penultimate``, the input of the classifier, or the name
            of a submodule of the segmentor whose output is taken
            (``decode_head.bottleneck``, ``backbone.layer3``), with
            ``[i]`` behind it where it gives several (``backbone[0]``).
        transform (str): ``raw``, ``direction`` (L2-normalised) or
            ``log_norm``; and those of the subclasses.
        channels (int): D of the tap.
        standardize (bool): Score with the Gaussian of the predicted class
            alone, standardised by the mean and spread of that score on
            training pixels of the same prediction. Class densities have
            different heights (their log-determinants), so ``-log p`` ranks
            classes before it ranks pixels; this takes the heights out (as
            Standardized Max Logits do for logits, Jung et al., ICCV 2021).
        weight (float): Of the score in the sum over views.
        region_weight (float): Of its mean over all pixels of the image with
            the same predicted class.
        excess (float, optional): Count only what lies beyond this quantile
            of the training scores, for views that should keep quiet on
            ordinary images.
        stride (int): Score every so-manieth row and column; enough where
            only the means over regions matter.
        optional (bool): Leave the view out of networks without its tap.
        density: Further arguments of :class:`GaussianDiscriminant`.
    """

    class_mean: Tensor
    class_std: Tensor
    # A smaller one of the training scores is rounding.
    smallest_spread = 0.0
    # Enough of one class from one image, if not as many as the fit takes.
    pixels_per_class: int | None = None

    def __init__(
        self,
        num_classes: int,
        tap: str = PENULTIMATE,
        transform: str = 'raw',
        channels: int | None = None,
        standardize: bool = False,
        weight: float = 1.0,
        region_weight: float = 0.0,
        excess: float | None = None,
        stride: int = 1,
        optional: bool = False,
        **density,
    ) -> None:
        super().__init__()
        if channels is None:
            raise ValueError(
                f'The number of channels of view {tap!r} is not known; set '
                'channels in the view.'
            )
        self.tap = tap
        self.transform = transform
        self.channels = channels
        self.standardize = standardize
        self.weight, self.region_weight = weight, region_weight
        self.excess, self.stride = excess, stride
        self.optional = optional
        self.build(num_classes, density)

    @property
    def plain(self) -> bool:
        """Whether the score of this view, if alone, is the result."""
        quiet = self.excess is None and self.region_weight == 0
        return quiet and self.weight == 1

    @property
    def needs_classes(self) -> bool:
        """Whether the score depends on the predicted classes."""
        return self.standardize

    def build(self, num_classes: int, density: dict) -> None:
        """Create buffers and the density."""
        if self.standardize:
            self.register_buffer('class_mean', torch.zeros(num_classes))
            self.register_buffer('class_std', torch.ones(num_classes))
        dim = transformed_features(self.transform, self.channels)
        if dim == 1:
            density['rank'] = None
        self.density = GaussianDiscriminant(num_classes, dim, **density)

    def new_moments(self, device: torch.device | str) -> ClassMoments:
        """Empty moments for what :meth:`update` collects."""
        return self.density.new_moments(device)

    def update(
        self,
        moments: ClassMoments,
        feature: Tensor,
        pixels: Tensor,
        labels: Tensor,
    ) -> None:
        """Add chosen pixels of one image to the moments.

        Args:
            moments (ClassMoments): What :meth:`new_moments` gave.
            feature (Tensor): (1, D, h, w).
            pixels (Tensor): (N,) flat indices into its grid.
            labels (Tensor): (N,) their classes.
        """
        device = moments.means.device
        vectors = self.sample(feature, pixels)
        moments.update(vectors.to(device), labels.to(device))

    def fit_moments(self, moments: ClassMoments, class_count: Tensor) -> dict:
        """Fit the density; what was done, in plain numbers."""
        return dict(
            covariance_type=self.density.covariance_type,
            **self.density.fit_moments(moments, class_count),
        )

    def sample(self, feature: Tensor, pixels: Tensor) -> Tensor:
        """Transformed vectors of chosen pixels of one image, (N, D')."""
        return self.transformed(pixels_of(feature, pixels))

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
            vectors (Tensor): (N, D') finite transformed features of training
                pixels.
            predicted (Tensor, optional): (N,) their predicted classes.
        """
        if not self.standardize:
            return
        scores = -self.density.log_prob_of(vectors, predicted)
        self.class_mean.fill_(scores.double().mean())
        self.class_std.fill_(spread(scores))
        for label in predicted.unique().tolist():
            chosen = scores[predicted == label]
            if len(chosen) >= MIN_PIXELS:
                self.class_mean[label] = chosen.double().mean()
                self.class_std[label] = spread(chosen)

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Score of transformed vectors, (N, D') -> (N,).

        ``-log p`` in nats, or in standard deviations if ``standardize``;
        ``WORST`` where there is none (:mod:`mmseg_ddu.core.bounds`).

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
        return standardized(
            scores, self.class_mean[labels], self.class_std[labels]
        )

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
        feature = self.thinned(feature)
        vectors, scale = flatten_pixels(feature), None
        if self.transform == 'direction':  # without a normalised copy
            scale = inverse_norms(vectors)
        else:
            vectors = self.transformed(vectors)
        scores = self.score(vectors, predicted, scale)
        return unflatten_pixels(scores, feature)

    def thinned(self, feature: Tensor) -> Tensor:
        """Every so-manieth row and column, (B, D, h, w) -> (B, D, h', w')."""
        step = min(self.stride, *feature.shape[2:])
        if step == 1:
            return feature
        return feature[:, :, step // 2 :: step, step // 2 :: step]


def classes_on_grid(predicted: Tensor, grid: tuple[int, int]) -> Tensor:
    """Nearest neighbour, (B, 1, H, W) -> (B, 1, h, w) integers."""
    if predicted.shape[2:] != grid:
        predicted = F.interpolate(
            predicted.float(), grid, mode='nearest-exact'
        )
    return predicted.long()


def spread(scores: Tensor) -> Tensor:
    """Standard deviation to divide by: 1 where it is nothing but rounding."""
    scores = scores.double()
    deviation = scores.std(unbiased=False)
    rounding = 1e-6 * scores.abs().max()
    return torch.where(deviation > rounding, deviation, 1.0).float()
