"""What the study needs of a density head; nothing else takes one apart."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from mmseg_ddu.core import ClassMoments
from mmseg_ddu.models.presets import PREDICTED

# OAS because small cells see few pixels.
HEAD = dict(views='ddu-paper', shrinkage='oas')
FLOAT32 = 4


class StudiedDensity:
    """The first density of a model, with Gaussians that can be exchanged.

    Args:
        model (DDUMixin): In eval mode; its fit is not used.

    Attributes:
        num_classes (int): C.
        num_features (int): D.
        description (dict): Which features it takes: ``tap``, ``transform``.
    """

    def __init__(self, model: nn.Module) -> None:
        self._view = model.gda_head.views[0]
        self._gaussians = copy.deepcopy(self._view.density).cpu()
        self.num_classes = self._gaussians.num_classes
        self.num_features = self._gaussians.num_features
        self.description = dict(
            tap=self._view.tap, transform=self._view.transform
        )

    def pixels(
        self, features: dict[str, Tensor]
    ) -> tuple[tuple[int, int], Tensor, Tensor]:
        """Feature grid (h, w), vectors (h w, D), predicted classes (h w,)."""
        feature = features[self._view.tap]
        return (
            tuple(feature.shape[2:]),
            self._view.vectors(feature),
            features[PREDICTED].flatten(),
        )

    def new_moments(self) -> ClassMoments:
        """Empty moments, of what the covariances need."""
        return self._gaussians.new_moments()

    def scores(self, moments: ClassMoments, vectors: Tensor) -> Tensor:
        """-log density under Gaussians of these moments, (N, D) -> (N,)."""
        self._gaussians.fit_moments(moments)
        return -self._gaussians.score_samples(vectors)

    @property
    def megabytes(self) -> float:
        """One set of Gaussians in float32."""
        return gaussian_megabytes(
            self.num_classes,
            self.num_features,
            self._gaussians.covariance_type,
        )


def gaussian_megabytes(
    num_classes: int, num_features: int, covariance_type: str = 'full'
) -> float:
    """Means and covariances of C classes and D features in float32."""
    covariances = dict(
        full=num_classes * num_features**2,
        tied=num_features**2,
        diag=num_classes * num_features,
    )
    numbers = num_classes * num_features + covariances[covariance_type]
    return numbers * FLOAT32 / 1e6
