"""Views without a Gaussian per class and pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ddu.core.bounds import WORST, is_lost
from mmseg_ddu.core.discriminant import GaussianDiscriminant
from mmseg_ddu.core.grouping import ClassGroups, labels_of
from mmseg_ddu.core.image_statistics import STATISTICS, ImageStatistic
from mmseg_ddu.core.sampling import pixels_of
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.shared_doubt import shared_doubt
from mmseg_ddu.core.transforms import TRANSFORMS

from .posterior_view import PosteriorView
from .views import View


class EntropyView(View):
    """Softmax entropy beyond the floor of the predicted class, in nats.

    Entropy mixes two kinds of doubt. What all training pixels of a predicted
    class have in common (:func:`mmseg_ddu.core.shared_doubt.shared_doubt`)
    is aleatoric, and it is taken off: the floor of the class. What is left
    is doubt that the pixels of a class do not share.

    Args:
        window (int): Odd; the entropy is averaged over that many rows and
            columns first. A single sure pixel in an unsure surrounding is
            an accident.
        log_scale (float, optional): In nats. The score becomes ``asinh(x /
            log_scale)``, linear below and logarithmic above, which keeps
            apart what is sure from what is very sure.
    """

    class_floor: Tensor
    smallest_spread = 1e-3  # nats

    @property
    def needs_classes(self) -> bool:
        return True

    def build(self, num_classes: int, density: dict) -> None:
        window = density.get('window', 1)
        log_scale = density.get('log_scale')
        if window < 1 or window % 2 == 0:
            raise ValueError(f'Expected an odd window, but got {window}.')
        if log_scale is not None and log_scale <= 0:
            raise ValueError(f'Expected log_scale > 0, but got {log_scale}.')
        self.window, self.log_scale = window, log_scale
        self.register_buffer('class_floor', torch.zeros(num_classes))

    def new_moments(self, device: torch.device | str) -> None:
        return None

    def update(self, moments, feature, pixels, labels) -> None:
        """Nothing to collect."""

    def fit_moments(self, moments, class_count: Tensor) -> dict:
        return {}

    def sample(self, feature: Tensor, pixels: Tensor) -> Tensor:
        """Entropies of chosen pixels, averaged and their own: (N, 2)."""
        self._check(feature)
        own = softmax_entropy(feature)
        both = torch.cat([self.averaged(own), own], 1)
        return pixels_of(both, pixels)

    def averaged(self, values: Tensor) -> Tensor:
        """Means over windows, without what lies outside the image."""
        if self.window == 1:
            return values
        lost = values.isnan()  # has no mean and enters no other
        both = torch.cat([values.masked_fill(lost, 0), (~lost).to(values)], 1)
        both = F.avg_pool2d(both, self.window, 1, self.window // 2)
        return (both[:, :1] / both[:, 1:]).masked_fill(lost, torch.nan)

    def calibrate(self, vectors: Tensor, predicted: Tensor | None) -> None:
        """Store the floor of each predicted class, 0 for rare ones."""
        floor = self.class_floor
        floor.copy_(shared_doubt(vectors[:, 1], predicted, len(floor)))

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """What :meth:`sample` gave, (N, 2) -> (N,)."""
        return self.beyond_floor(vectors[:, 0], labels_of(predicted))

    def beyond_floor(self, entropies: Tensor, predicted: Tensor) -> Tensor:
        """Score of entropies and classes of one shape."""
        excess = (entropies - self.class_floor[predicted]).clamp_min(0)
        if self.log_scale is not None:
            ratio = excess / self.log_scale
            # asinh, which ONNX has not in every version, of what is not
            # negative.
            excess = (ratio + (ratio.square() + 1).sqrt()).log()
        return excess.nan_to_num(nan=WORST)

    def forward(
        self, feature: Tensor, predicted: Tensor | ClassGroups | None = None
    ) -> Tensor:
        self._check(feature)
        if self.window == 1:  # no pixel needs its neighbours
            entropies = softmax_entropy(self.thinned(feature))
        else:
            entropies = self.thinned(self.averaged(softmax_entropy(feature)))
        labels = labels_of(predicted).view_as(entropies)
        return self.beyond_floor(entropies, labels)


class StyleView(View):
    """How unusual the channel statistics of the whole image are.

    One vector per image, one of the statistics of
    :mod:`mmseg_ddu.core.image_statistics` (of the values that are finite),
    and one Gaussian for all images. The score is the Mahalanobis distance,
    the same for all pixels of the image (of the window, in sliding windows).
    """

    def build(self, num_classes: int, density: dict) -> None:
        # Few images stand against many channels.
        options = dict(
            density,
            shrinkage=self.statistic.shrinkage,
            shrinkage_target='identity',
            rank=None,
        )
        dim = self.statistic.dimensions(self.channels)
        self.density = GaussianDiscriminant(1, dim, **options)

    @property
    def statistic(self) -> ImageStatistic:
        """What is taken of each image."""
        return STATISTICS[self.transform]

    def vector(self, feature: Tensor) -> Tensor:
        """Statistics of each image, (B, D, h, w) -> (B, D')."""
        return self.statistic.of_finite(feature)

    def sample(self, feature: Tensor, pixels: Tensor) -> Tensor:
        """The vector of the image for each of the pixels, (N, D')."""
        self._check(feature)
        return self.vector(feature).expand(len(pixels), -1)

    def update(self, moments, feature, pixels, labels) -> None:
        """Add one image."""
        device = moments.means.device
        label = torch.zeros(1, dtype=torch.int64, device=device)
        moments.update(self.vector(feature).to(device), label)

    def fit_moments(self, moments, class_count: Tensor) -> dict:
        report = super().fit_moments(moments, None)
        return {k: v for k, v in report.items() if k != 'absent_classes'}

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """(N, D') -> Mahalanobis distances (N,)."""
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
        return self.score(self.vector(feature))[:, None, None, None]


def style_distance(log_probs: Tensor, peak: Tensor | float) -> Tensor:
    """Mahalanobis distance from a log density and the highest there is."""
    distances = (2 * (peak - log_probs)).clamp_min(0).sqrt()
    return distances.masked_fill(is_lost(-log_probs), WORST)


SPECIAL = dict(
    entropy=EntropyView,
    posterior=PosteriorView,
    **dict.fromkeys(STATISTICS, StyleView),
)


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
