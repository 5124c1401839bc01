"""Gaussian discriminant: one Gaussian per class over feature vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .covariance import (
    COVARIANCE_TYPES,
    check_shrinkage,
    estimate_covariances,
    precision_factors,
)
from .errors import NotFittedError
from .moments import ClassMoments

PRIORS = ('uniform', 'empirical')
_LOG_2_PI = math.log(2 * math.pi)
_BLOCK_NUMBERS = 1 << 21  # floats of one intermediate while scoring: 8 MiB


class GaussianDiscriminant(nn.Module):
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

    Scoring N vectors costs ``N C K**2`` multiply-adds (``full``),
    ``N K**2 + N C K`` (``tied``) or ``N C K`` (``diag``), K being the rank
    or D, and ``N D K`` more for the projection. Vectors are taken in blocks;
    no N x C x D array is built.

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

    means: Tensor
    precisions_cholesky: Tensor
    log_dets: Tensor
    log_priors: Tensor
    class_count: Tensor
    offset: Tensor
    basis: Tensor
    residual_variance: Tensor
    fitted: Tensor

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
        super().__init__()
        if covariance_type not in COVARIANCE_TYPES:
            raise ValueError(
                f'Expected covariance_type to be one of {COVARIANCE_TYPES}, '
                f'but got {covariance_type!r}.'
            )
        if priors not in PRIORS:
            raise ValueError(
                f'Expected priors to be one of {PRIORS}, but got {priors!r}.'
            )
        if rank is not None and not 1 <= rank < num_features:
            raise ValueError(
                f'Expected rank to be in [1, {num_features}), the number of '
                f'features, but got {rank}; leave it out to use them all.'
            )
        check_shrinkage(shrinkage)
        self.num_classes = num_classes
        self.num_features = num_features
        self.covariance_type = covariance_type
        self.rank = rank
        self.shrinkage = shrinkage
        self.shrinkage_target = shrinkage_target
        self.reg_covar = reg_covar
        self.priors = priors

        dim = rank or num_features
        factor = {
            'full': (num_classes, dim, dim),
            'tied': (1, dim, dim),
            'diag': (num_classes, dim),
        }[covariance_type]
        shapes = dict(
            means=(num_classes, dim),
            precisions_cholesky=factor,
            log_dets=(num_classes,),
            log_priors=(num_classes,),
            offset=(num_features,),
            residual_variance=(),
            basis=(num_features, rank) if rank else (0,),
        )
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer(
            'class_count', torch.zeros(num_classes, dtype=torch.int64)
        )
        self.register_buffer('fitted', torch.tensor(False))

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
            ``added`` to the diagonals, ``dead_features``,
            ``absent_classes``.

        Raises:
            ValueError: If no labelled feature was seen.
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
            self.residual_variance.copy_(residual + estimate.added)

        factors, log_dets = precision_factors(estimate.covariances)
        count = (
            moments.counts
            if class_count is None
            else class_count.to(moments.counts)
        )
        present = moments.counts > 0
        prior = (
            count if self.priors == 'empirical' else torch.ones_like(count)
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
            dead_features=int(estimate.dead_features.sum()),
            absent_classes=(~present).nonzero().flatten().tolist(),
        )

    def log_prob(self, features: Tensor) -> Tensor:
        """Log density under each class, in nats.

        Args:
            features (Tensor): (N, D). Computed in the precision of the
                buffers (float32 at least), whatever autocast says.

        Returns:
            Tensor: (N, C); −inf for a class that was never seen.

        Raises:
            NotFittedError: Before the fit.
            ValueError: On another number of features.
        """
        self._check(features)
        rows = max(1, _BLOCK_NUMBERS // self.num_features)
        out = features.new_full(
            (len(features), self.num_classes),
            -math.inf,
            dtype=self.means.dtype,
        )
        present = torch.isfinite(self.log_priors).nonzero().flatten()
        with torch.autocast(features.device.type, enabled=False):
            for block, part in zip(features.split(rows), out.split(rows)):
                shared = self._prepare(block)
                for label in present.tolist():
                    part[:, label] = self._log_prob_class(*shared, label)
        return out

    def log_prob_of(self, features: Tensor, labels: Tensor) -> Tensor:
        """Log density of each vector under one class of its own, in nats.

        Costs a C-th of :meth:`log_prob`. Where the class was never seen, the
        density of all classes (:meth:`score_samples`) stands in.

        Args:
            features (Tensor): (N, D).
            labels (Tensor): (N,) integers in ``[0, C)``.

        Returns:
            Tensor: (N,).

        Raises:
            NotFittedError: Before the fit.
            ValueError: On another number of features.
        """
        self._check(features)
        out = self.means.new_empty(len(features))
        rows = max(1, _BLOCK_NUMBERS // self.num_features)
        for label in labels.unique().tolist():
            for where in (labels == label).nonzero().flatten().split(rows):
                block = features[where]
                if not torch.isfinite(self.log_priors[label]):
                    out[where] = self.score_samples(block)
                    continue
                with torch.autocast(features.device.type, enabled=False):
                    shared = self._prepare(block)
                    out[where] = self._log_prob_class(*shared, label)
        return out

    def score_samples(self, features: Tensor) -> Tensor:
        """Log density log p(z) of each vector, (N,), in nats."""
        return torch.logsumexp(self.log_prob(features) + self.log_priors, 1)

    def _check(self, features: Tensor) -> None:
        if not self.fitted:
            raise NotFittedError(
                'This density is not fitted yet. Run the fit first '
                '(tools/fit_gda.py, or fit_moments in Python).'
            )
        if features.ndim != 2 or features.shape[1] != self.num_features:
            raise ValueError(
                f'Expected features of shape (N, {self.num_features}), but '
                f'got {tuple(features.shape)}.'
            )

    def _prepare(self, features: Tensor) -> tuple[Tensor, Tensor | float]:
        """What all classes share: the projected vectors and a constant."""
        vectors = features.to(self.means.dtype) - self.offset
        constant: Tensor | float = -0.5 * self.means.shape[1] * _LOG_2_PI
        if self.rank is not None:
            everything = vectors.square().sum(1)
            vectors = vectors @ self.basis
            residual = (everything - vectors.square().sum(1)).clamp_min(0)
            dropped = self.num_features - self.rank
            log_noise = dropped * (_LOG_2_PI + self.residual_variance.log())
            constant = constant - 0.5 * (
                residual / self.residual_variance + log_noise
            )
        if self.covariance_type == 'tied':
            vectors = vectors @ self.precisions_cholesky[0]
        return vectors, constant

    def _log_prob_class(
        self, vectors: Tensor, constant: Tensor | float, label: int
    ) -> Tensor:
        """Log density under one class, (N,), of what _prepare gave."""
        if self.covariance_type == 'tied':  # whitened already
            shift = self.means[label] @ self.precisions_cholesky[0]
            distance = (vectors - shift).square().sum(1)
        elif self.covariance_type == 'diag':
            factor = self.precisions_cholesky[label]
            distance = ((vectors - self.means[label]) * factor).square().sum(1)
        else:
            factor = self.precisions_cholesky[label]
            shift = self.means[label] @ factor
            distance = (vectors @ factor - shift).square().sum(1)
        return self.log_dets[label] - 0.5 * distance + constant

    def _apply(
        self, fn: Callable, recurse: bool = True
    ) -> GaussianDiscriminant:
        """Move to a device, but never below float32 (``model.half()``)."""

        def at_least_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if tensor.is_floating_point() and moved.element_size() < 4:
                moved = tensor.to(moved.device)
            return moved

        return super()._apply(at_least_float32, recurse)
