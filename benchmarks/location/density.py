"""What the study needs of a density head; nothing else takes one apart."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.models.tapped_modules import LOGITS

# OAS because small cells see few pixels.
HEAD = dict(preset='ddu-paper', shrinkage='oas')
FLOAT32 = 4


class StudiedDensity:
    """The density of a model, with Gaussians that can be exchanged.

    Args:
        model (DDUMixin): In eval mode; its fit is not used.

    Attributes:
        num_classes (int): C.
        num_features (int): D.
        description (dict): Which features it takes: ``tap``, ``transform``.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._head = model, model.gda_head
        self._gaussians = copy.deepcopy(self._head.density).cpu()
        self.num_classes = self._gaussians.num_classes
        self.num_features = self._gaussians.num_features
        steps = [type(step).__name__.lower() for step in self._head.transform]
        self.description = dict(tap=self._head.tap, transform=', '.join(steps))

    def pixels(
        self, features: dict[str, Tensor]
    ) -> tuple[tuple[int, int], Tensor, Tensor]:
        """Feature grid (h, w), vectors (h w, D), predicted classes (h w,)."""
        feature = features[self._head.tap]
        rows = feature.movedim(1, -1).flatten(0, 2)
        predicted = self._model.classes_of(features[LOGITS])
        return (
            tuple(feature.shape[2:]),
            self._head.vectors(rows),
            predicted.flatten(),
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
