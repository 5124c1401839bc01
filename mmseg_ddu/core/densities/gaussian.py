"""Gaussians of each class."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_ddu.core.class_gaussians import DIRECTIONS, ClassGaussians
from mmseg_ddu.core.covariance import (
    estimate_covariances,
    log_determinants,
    precision_factors,
)
from mmseg_ddu.core.errors import require
from mmseg_ddu.core.few_shot import few_shot_covariance, shared_covariance
from mmseg_ddu.core.kmeans import nearest_part
from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.nearest_gaussians import sketch_gaussians
from mmseg_ddu.core.principal_subspace import LOG_2_PI, principal_subspace

from . import DENSITIES


@DENSITIES.register('gaussian')
class GaussianDensity(ClassGaussians):
    """``log p(z) = log Σ_g π_g N(z; μ_g, Σ_g)``, by default one g a class.

    Minus it is the epistemic uncertainty of Deep Deterministic Uncertainty
    (Mukhoti et al., arXiv 2102.11582 and 2111.00079).

    Many full Gaussians are not all computed for each vector: the widest is,
    and the three that a cheap estimate of all puts first
    (:class:`~mmseg_ddu.core.nearest_gaussians.Sketch`). What the others would
    add to p is left out. On two networks the ranks agree with those of the
    exact density in float64 by .99999 and .9995 (Spearman).

    Args:
        num_classes (int): C.
        num_features (int): D.
        covariance_type (str): ``full``, ``tied`` or ``diag``.
        components (int): Gaussians of each class. More than one suits a
            class that is a mixture, such as a background; which vector
            counts to which is decided by k-means on a first look.
        rank (int, optional): Dimensions of the principal subspace in which
            the Gaussians live; what the projection drops is one isotropic
            Gaussian for all (Tipping and Bishop, 1999).
        shrinkage (float or str): Towards ``shrinkage_target``, in [0, 1], or
            ``'oas'``.
        shrinkage_target (str): ``tied`` or ``identity``.
        reg_covar (float): Fraction of the mean variance added to the
            diagonals, see :func:`estimate_covariances`.
        priors (str): Of the classes: ``uniform`` over those seen (the
            paper), or ``empirical``.

    Raises:
        ValueError: On options that make no sense, and factors that are too
            large.
    """

    def new_moments(self, device: torch.device | str = 'cpu') -> ClassMoments:
        """Empty moments of the kind this density is fitted from."""
        return ClassMoments(
            self.num_classes * self.components,
            self.num_features,
            self.covariance_type == 'diag' and self.rank is None,
            device,
            pooled=self.covariance_type == 'tied',
        )

    def groups(self, features: Tensor, labels: Tensor) -> Tensor:
        """The Gaussian that each vector counts to, (N,); void stays void."""
        if self.components == 1:
            return labels
        centers = self.centers.view(self.num_classes, self.components, -1)
        return nearest_part(features, labels, centers)

    @torch.no_grad()
    def fit_moments(
        self, moments: ClassMoments, class_count: Tensor | None = None
    ) -> dict:
        """Set all parameters from streamed moments.

        Args:
            moments (ClassMoments): Of the features, by group.
            class_count (Tensor, optional): (C,) pixels of each class for the
                empirical priors, when the moments saw only a sample.

        Returns:
            dict: What was done, in plain numbers: ``shrinkage`` per
            Gaussian, ``added`` to the diagonals, ``lifted`` Gaussians that
            rounding had left indefinite, ``dead_features``,
            ``absent_classes``, ``nonfinite`` vectors left out.

        Raises:
            ValueError: If no labelled feature was seen, or none is finite.
            torch.linalg.LinAlgError: If a covariance has no Cholesky factor.
        """
        # Rounded to the buffer's precision first, so that the means are
        # relative to exactly what will be subtracted from the features.
        self.offset.copy_(moments.pooled_mean())
        basis, residual = self._subspace(moments)
        if basis is not None:
            self.basis.copy_(basis)
        moments = moments.projected(self.offset.to(moments.means), basis)
        estimate = estimate_covariances(
            moments,
            self.covariance_type,
            self.shrinkage,
            self.shrinkage_target,
            self.reg_covar,
        )
        if self.rank is not None:
            limits = torch.finfo(self.residual_variance.dtype)
            noise = (residual + estimate.added).clamp(limits.tiny, limits.max)
            self.residual_variance.copy_(noise)
        counts = moments.counts.view(self.num_classes, self.components)
        total = counts.sum(1)
        seen = total if class_count is None else class_count
        share = counts / total.clamp_min(1)[:, None]
        priors = self._class_priors(total > 0, seen.to(counts))[:, None]
        self._store(
            moments.means,
            precision_factors(estimate.covariances),
            (priors * share).flatten(),
            moments.total_scatter() / counts.sum(),
        )
        self.class_count.copy_(seen)
        return dict(
            num_features=moments.num_features,
            shrinkage=[round(a, 6) for a in estimate.shrinkage.tolist()],
            added=estimate.added,
            lifted=estimate.lifted,
            dead_features=int(estimate.dead_features.sum()),
            absent_classes=(total == 0).nonzero()[:, 0].tolist(),
            nonfinite=int(moments.nonfinite.sum()),
        )

    def _subspace(self, moments: ClassMoments) -> tuple[Tensor | None, Tensor]:
        """Its basis, and the variance of each dimension that is dropped."""
        if self.rank is None:
            return None, torch.zeros(())
        return principal_subspace(moments, self.rank)

    def _store(
        self, means: Tensor, factors: Tensor, weights: Tensor, spread: Tensor
    ) -> None:
        """Take over all Gaussians; ``spread`` is the covariance of all data.

        Their means are about the offset, and their weights add up to 1.
        """
        constant = 0.5 * means.shape[1] * LOG_2_PI
        log_norms = weights.log() + log_determinants(factors) - constant
        self.means.copy_(means)
        self.precisions_cholesky.copy_(factors)
        if self.covariance_type != 'diag':  # the means, whitened
            self.shifts.copy_((means[:, None] @ factors)[:, 0])
        self.log_norms.copy_(log_norms)
        if self.sketched:
            sketch = sketch_gaussians(
                means, factors, log_norms, spread, DIRECTIONS
            )
            for name, value in sketch._asdict().items():
                getattr(self, f'sketch_{name}').copy_(value)
        self.fitted.fill_(True)

    @torch.no_grad()
    def extend(
        self, other: GaussianDensity, features: Tensor, images: int
    ) -> None:
        """Take over another density, and learn one class more from few images.

        The Gaussians of the other classes stay as they are. The new one has
        the mean of its vectors, and a covariance between theirs and the one
        that all other classes share
        (:func:`~mmseg_ddu.core.few_shot.few_shot_covariance`).

        Args:
            other (GaussianDensity): Fitted, of one class fewer and otherwise
                alike.
            features (Tensor): (N, D) of the new class.
            images (int): They are of so many.

        Raises:
            ValueError: If the densities are of other subspaces.
        """
        require(
            self.basis.shape == other.basis.shape,
            f'a subspace of shape {tuple(other.basis.shape)}, whatever the '
            'number of classes (set top or rank)',
            tuple(self.basis.shape),
        )
        vectors = other._prepared(features.double())[0]
        means = other.means.double()
        factors = other.precisions_cholesky.double()
        log_norms = other.log_norms.double()
        weights = (log_norms - log_determinants(factors)).softmax(0)
        shared = shared_covariance(factors, weights)
        if self.covariance_type != 'tied':
            least = 0.0 if self.shrinkage == 'oas' else float(self.shrinkage)
            own = few_shot_covariance(vectors, images, shared, least)
            own = own.diagonal() if self.covariance_type == 'diag' else own
            new = precision_factors(own[None])
            new = new.expand(self.components, *new.shape[1:])
            factors = torch.cat([factors, new])
        weights = self._extended_weights(other, weights, len(vectors))
        mean = vectors.mean(0).expand(self.components, -1)
        means = torch.cat([means, mean])
        for name in ('offset', 'basis', 'residual_variance'):
            getattr(self, name).copy_(getattr(other, name))
        if self.components > 1:
            center = features.mean(0).expand(self.components, -1)
            self.centers.copy_(torch.cat([other.centers, center]))
        spread = shared + means.mT @ (weights[:, None] * means)
        self._store(means, factors, weights, spread)

    def _extended_weights(
        self, other: GaussianDensity, weights: Tensor, seen: int
    ) -> Tensor:
        """Of all Gaussians, with a class of which so many were seen."""
        count = torch.tensor([seen]).to(other.class_count)
        self.class_count.copy_(torch.cat([other.class_count, count]))
        present = weights.view(-1, self.components).sum(1) > 0
        present = torch.cat([present, present.new_ones(1)])
        prior = self._class_priors(present, self.class_count.to(weights))[-1:]
        nothing = weights.new_zeros(self.components - 1)
        return torch.cat([weights * (1 - prior), prior, nothing])
