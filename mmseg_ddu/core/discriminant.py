"""Gaussian discriminant: one Gaussian per class over feature vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from .covariance import (
    check_shrinkage,
    estimate_covariances,
    precision_factors,
)
from .density import GaussianDensity
from .moments import ClassMoments

PRIORS = ('uniform', 'empirical')


class GaussianDiscriminant(GaussianDensity):
    """Class-conditional Gaussians, fitted from :class:`ClassMoments`.

    ``log p(z) = logsumexp_c(log π_c + log N(z; μ_c, Σ_c))``; its negative is
    the epistemic uncertainty of Deep Deterministic Uncertainty (Mukhoti et
    al., arXiv 2102.11582 and 2111.00079). All parameters are buffers of
    fixed shape, so they travel in ``state_dict``.

    With ``rank=k`` the features are projected on the k leading principal
    directions of all of them. The class Gaussians live in that subspace, and
    what the projection drops is one isotropic Gaussian that all classes
    share (the noise model of probabilistic PCA, Tipping and Bishop 1999):
    still a proper density over all D features.

    What scoring costs stands in :class:`GaussianDensity`.

    Args:
        num_classes (int): C.
        num_features (int): D.
        covariance_type (str): ``full``, ``tied`` or ``diag``.
        rank (int, optional): Dimensions of the principal subspace.
        shrinkage (float or str): In [0, 1], or ``'oas'``.
        shrinkage_target (str): ``tied`` or ``identity``.
        reg_covar (float): Fraction of the mean variance added to the
            diagonals, see :func:`estimate_covariances`.
        priors (str): π_c: ``uniform`` over the classes seen, or
            ``empirical``.

    Raises:
        ValueError: On unknown options.
    """

    class_count: Tensor

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        covariance_type: str = 'full',
        rank: int | None = None,
        shrinkage: float | str = 0.0,
        shrinkage_target: str = 'tied',
        reg_covar: float = 1e-6,
        priors: str = 'uniform',
    ) -> None:
        super().__init__(num_classes, num_features, covariance_type, rank)
        if priors not in PRIORS:
            raise ValueError(
                f'Expected priors to be one of {PRIORS}, but got {priors!r}.'
            )
        check_shrinkage(shrinkage)
        self.shrinkage = shrinkage
        self.shrinkage_target = shrinkage_target
        self.reg_covar = reg_covar
        self.priors = priors
        self.register_buffer(
            'class_count', torch.zeros(num_classes, dtype=torch.int64)
        )

    @property
    def needs_diagonal_only(self) -> bool:
        """Whether moments with ``diagonal=True`` are enough."""
        return self.covariance_type == 'diag' and self.rank is None

    def new_moments(self, device: torch.device | str = 'cpu') -> ClassMoments:
        """Empty moments of the kind this density is fitted from."""
        return ClassMoments(
            self.num_classes,
            self.num_features,
            self.needs_diagonal_only,
            device,
            pooled=self.covariance_type == 'tied',
        )

    def fit(self, features: Tensor, labels: Tensor) -> dict:
        """Fit from features (N, D) and labels (N,) held in memory."""
        return self.fit_moments(
            self.new_moments(features.device).update(features, labels)
        )

    @torch.no_grad()
    def fit_moments(
        self, moments: ClassMoments, class_count: Tensor | None = None
    ) -> dict:
        """Set all parameters from streamed moments.

        Args:
            moments (ClassMoments): Moments of the features.
            class_count (Tensor, optional): (C,) number of pixels per class
                for the empirical priors, when the moments saw only a sample.

        Returns:
            dict: What was done, in plain numbers: ``shrinkage`` per class,
            ``added`` to the diagonals, ``lifted_classes`` that rounding
            had left indefinite, ``dead_features``,
            ``absent_classes``, ``nonfinite`` vectors left out.

        Raises:
            ValueError: If no labelled feature was seen, or none is finite.
            torch.linalg.LinAlgError: If a covariance has no Cholesky factor.
        """
        # Rounded to the buffer's precision first, so that the means are
        # relative to exactly what will be subtracted from the features.
        self.offset.copy_(moments.pooled_mean())
        offset = self.offset.to(moments.means)
        basis = None
        dim = self.num_features
        if self.rank is not None:
            variances, directions = torch.linalg.eigh(moments.total_scatter())
            basis = directions[:, -self.rank :].flip(1)
            dropped = variances[: -self.rank].clamp_min(0)
            residual = dropped.mean() / (moments.counts.sum() - 1).clamp_min(1)
            dim = self.rank
            self.basis.copy_(basis)
        projected = moments.projected(offset, basis)
        estimate = estimate_covariances(
            projected,
            self.covariance_type,
            self.shrinkage,
            self.shrinkage_target,
            self.reg_covar,
        )
        if self.rank is not None:
            noise = torch.finfo(self.residual_variance.dtype)
            self.residual_variance.copy_(
                (residual + estimate.added).clamp(noise.tiny, noise.max)
            )

        factors, log_dets = precision_factors(estimate.covariances)
        count = (
            moments.counts
            if class_count is None
            else class_count.to(moments.counts)
        )
        present = moments.counts > 0
        prior = (
            count.clamp_min(1)  # it was seen
            if self.priors == 'empirical'
            else torch.ones_like(count)
        ) * present
        self.means.copy_(projected.means)
        self.precisions_cholesky.copy_(factors)
        self.log_dets.copy_(log_dets.expand(self.num_classes))
        self.log_priors.copy_((prior / prior.sum()).log())
        self.class_count.copy_(count)
        self.fitted.fill_(True)
        return dict(
            num_features=dim,
            shrinkage=[round(a, 6) for a in estimate.shrinkage.tolist()],
            added=estimate.added,
            lifted_classes=estimate.lifted,
            dead_features=int(estimate.dead_features.sum()),
            absent_classes=(~present).nonzero().flatten().tolist(),
            nonfinite=int(moments.nonfinite.sum()),
        )
