"""Gaussians of each class in one part of the feature, split by variance."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.moments import ClassMoments

from . import DENSITIES
from .gaussian import GaussianDensity


@DENSITIES.register('pca_top')
class PCATop(GaussianDensity):
    """Full Gaussians of each class in the directions of most variance.

    The rest is not looked at. The two parts are those that "Decomposing
    representations for deterministic uncertainty" (Huang, van Amersfoort and
    Gal, arXiv 2112.00856) compares with its learned split. Together, each as
    a surprise, they may see what the whole feature does not: the few
    directions in which classes differ do not drown among the others.

    Args:
        num_classes (int): C.
        num_features (int): D.
        top (int, optional): Directions of most variance that are the first
            part, in [1, D); C - 1 by default, as many as a classifier reads.
        shrinkage, shrinkage_target, reg_covar, priors: As in
            :class:`~.gaussian.GaussianDensity`.

    Raises:
        ValueError: On options that make no sense.
    """

    bottom = False

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        top: int | None = None,
        shrinkage: float | str = 0.05,
        shrinkage_target: str = 'tied',
        reg_covar: float = 1e-6,
        priors: str = 'uniform',
    ) -> None:
        if top is None:
            top = max(1, min(num_classes, num_features) - 1)
        require(
            type(top) is int and 1 <= top < num_features,
            f'top to be in [1, {num_features}), the features',
            top,
        )
        self.top = top
        super().__init__(
            num_classes,
            num_features,
            rank=num_features - top if self.bottom else top,
            shrinkage=shrinkage,
            shrinkage_target=shrinkage_target,
            reg_covar=reg_covar,
            priors=priors,
        )

    def _subspace(self, moments: ClassMoments) -> tuple[Tensor, Tensor]:
        _, directions = torch.linalg.eigh(moments.total_scatter())
        top, others = directions.flip(1).tensor_split([self.top], 1)
        return others if self.bottom else top, torch.zeros(())

    def _prepared(self, features: Tensor) -> tuple[Tensor, None]:
        vectors = features - self.offset.to(features)
        return vectors @ self.basis.to(vectors), None


@DENSITIES.register('pca_bottom')
class PCABottom(PCATop):
    """The same in all other directions."""

    bottom = True
