"""Views without a Gaussian per class and pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_ddu.core.bounds import WORST, is_lost
from mmseg_ddu.core.discriminant import GaussianDiscriminant
from mmseg_ddu.core.grouping import ClassGroups
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.transforms import (
    TRANSFORMS,
    flatten_pixels,
    style_of_finite,
)

from .views import MIN_PIXELS, View


class EntropyView(View):
    """Softmax entropy beyond the floor of the predicted class, in nats.

    Entropy mixes two kinds of doubt. Where two classes look the same, every
    pixel of them has a high entropy, and it hardly varies: that is
    aleatoric, and it is taken off. With the mean m and the standard
    deviation s of the entropy of training pixels predicted as a class, its
    floor is ``max(0, m - (2 s)^2 / m)``: nearly m where s is small against
    m, and 0 from ``s = m / 2`` on. What is left is doubt that the pixels of
    a class do not share.
    """

    class_floor: Tensor
    smallest_spread = 1e-3  # nats

    @property
    def needs_classes(self) -> bool:
        return True

    def build(self, num_classes: int, density: dict) -> None:
        self.register_buffer('class_floor', torch.zeros(num_classes))

    def new_moments(self, device: torch.device | str) -> None:
        return None

    def update(self, moments, feature, pixels, labels) -> None:
        """Nothing to collect."""

    def fit_moments(self, moments, class_count: Tensor) -> dict:
        return {}

    def transformed(self, pixels: Tensor) -> Tensor:
        """Logits (N, C) -> entropies (N, 1)."""
        return softmax_entropy(pixels.T[None])[0].T

    def calibrate(self, vectors: Tensor, predicted: Tensor | None) -> None:
        """Store the floor of each predicted class, 0 for rare ones."""
        self.class_floor.zero_()
        for label in predicted.unique().tolist():
            values = vectors[predicted == label, 0]
            if len(values) >= MIN_PIXELS and values.mean() > 0:
                variance = values.var(unbiased=False)
                floor = values.mean() - 4 * variance / values.mean()
                self.class_floor[label] = floor.clamp_min(0)

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """(N, 1) entropies -> (N,)."""
        if isinstance(predicted, ClassGroups):
            predicted = predicted.labels
        above = vectors[:, 0] - self.class_floor[predicted]
        return above.nan_to_num(nan=WORST)

    def forward(
        self, feature: Tensor, predicted: Tensor | ClassGroups | None = None
    ) -> Tensor:
        self._check(feature)
        entropies = softmax_entropy(self.thinned(feature))
        scores = self.score(flatten_pixels(entropies), predicted)
        return scores.reshape(entropies.shape)


class StyleView(View):
    """How unusual the channel statistics of the whole image are.

    One vector per image, :func:`mmseg_ddu.core.transforms.style` of the
    values that are finite, and one Gaussian for all images. The score is the
    Mahalanobis distance, the same for all pixels of the image (of the
    window, in sliding windows).
    """

    def build(self, num_classes: int, density: dict) -> None:
        # Few images stand against many channels.
        options = dict(
            density, shrinkage=0.1, shrinkage_target='identity', rank=None
        )
        self.density = GaussianDiscriminant(1, 2 * self.channels, **options)

    def sample(self, feature: Tensor, pixels: Tensor) -> Tensor:
        """The vector of the image for each of the pixels, (N, 2 D)."""
        self._check(feature)
        return style_of_finite(feature).expand(len(pixels), -1)

    def update(self, moments, feature, pixels, labels) -> None:
        """Add one image."""
        device = moments.means.device
        label = torch.zeros(1, dtype=torch.int64, device=device)
        moments.update(style_of_finite(feature).to(device), label)

    def fit_moments(self, moments, class_count: Tensor) -> dict:
        report = super().fit_moments(moments, None)
        return {k: v for k, v in report.items() if k != 'absent_classes'}

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """(N, 2 D) -> Mahalanobis distances (N,)."""
        log_probs = self.density.score_samples(vectors)
        return style_distance(log_probs, self.peak())

    def peak(self) -> Tensor:
        """The highest log density there is, (1,)."""
        centre = self.density.means + self.density.offset
        return self.density.score_samples(centre)

    def forward(
        self, feature: Tensor, predicted: Tensor | ClassGroups | None = None
    ) -> Tensor:
        """(B, D, h, w) -> (B, 1, 1, 1)."""
        self._check(feature)
        return self.score(style_of_finite(feature))[:, None, None, None]


def style_distance(log_probs: Tensor, peak: Tensor | float) -> Tensor:
    """Mahalanobis distance from a log density and the highest there is."""
    distances = (2 * (peak - log_probs)).clamp_min(0).sqrt()
    return distances.masked_fill(is_lost(-log_probs), WORST)


SPECIAL = dict(entropy=EntropyView, style=StyleView)


def build_view(num_classes: int, **config) -> View:
    """The view that a config describes.

    Raises:
        ValueError: On an unknown transform or option.
    """
    transform = config.get('transform', 'raw')
    known = [*TRANSFORMS, *SPECIAL]
    if transform not in known:
        raise ValueError(
            f'Expected transform to be one of {sorted(known)}, but got '
            f'{transform!r}.'
        )
    return SPECIAL.get(transform, View)(num_classes, **config)
