"""Scores under the Gaussians of all classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .covariance import check_options
from .errors import NotFittedError, require
from .mahalanobis import diagonal_squares, distances, tied_squares
from .nearest_gaussians import Sketch, nearest_gaussians
from .precise_module import PreciseModule
from .principal_subspace import project

DIRECTIONS = 8  # of the sketch
NEAREST = 3  # Gaussians a vector that are computed exactly
ALL_AT_ONCE = 2048  # rows of factors up to which all are
MOST_BYTES = 4 << 30  # of the factors
PRIORS = ('uniform', 'empirical')
MAX_COMPONENTS = 64


class ClassGaussians(PreciseModule):
    """Buffers that hold the Gaussians of each class, and their densities.

    For the options see
    :class:`~mmseg_ddu.core.densities.gaussian.GaussianDensity`.
    """

    means: Tensor
    shifts: Tensor
    precisions_cholesky: Tensor
    log_norms: Tensor
    offset: Tensor
    basis: Tensor
    residual_variance: Tensor
    centers: Tensor
    class_count: Tensor
    fitted: Tensor

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        covariance_type: str = 'full',
        components: int = 1,
        rank: int | None = None,
        shrinkage: float | str = 0.05,
        shrinkage_target: str = 'tied',
        reg_covar: float = 1e-6,
        priors: str = 'uniform',
    ) -> None:
        check_options(covariance_type, shrinkage, shrinkage_target, reg_covar)
        require(priors in PRIORS, f'priors to be one of {PRIORS}', priors)
        require(
            type(components) is int and 1 <= components <= MAX_COMPONENTS,
            f'components to be in [1, {MAX_COMPONENTS}]',
            components,
        )
        require(
            rank is None or (type(rank) is int and 1 <= rank < num_features),
            f'rank to be None or in [1, {num_features}), the features',
            rank,
        )
        super().__init__()
        self.num_classes, self.num_features = num_classes, num_features
        self.covariance_type, self.components = covariance_type, components
        self.rank, self.priors = rank, priors
        self.shrinkage, self.shrinkage_target = shrinkage, shrinkage_target
        self.reg_covar = reg_covar
        self._register_buffers()

    def _register_buffers(self) -> None:
        groups = self.num_classes * self.components
        dim = self.rank or self.num_features
        factor = {
            'full': (groups, dim, dim),
            'tied': (1, dim, dim),
            'diag': (groups, dim),
        }[self.covariance_type]
        size = 4 * math.prod(factor)
        if size > MOST_BYTES:
            raise ValueError(
                f'{groups} {self.covariance_type} covariances of {dim} '
                f'features take {size / 2**30:.0f} GiB. Use a rank, or '
                "covariance_type='tied' or 'diag'."
            )
        self.sketched = self.covariance_type == 'full' and (
            groups > NEAREST + 1 and groups * dim > ALL_AT_ONCE
        )
        many = self.components > 1
        shapes = dict(
            means=(groups, dim),
            shifts=(groups, dim),
            precisions_cholesky=factor,
            log_norms=(groups,),
            offset=(self.num_features,),
            residual_variance=(),
            basis=(self.num_features, dim) if self.rank else (0,),
            centers=(groups, self.num_features) if many else (0,),
            class_count=(self.num_classes,),
        )
        if self.sketched:
            for name, shape in Sketch.shapes(groups, dim, DIRECTIONS).items():
                shapes[f'sketch_{name}'] = shape
        for name, shape in shapes.items():
            whole = name in ('class_count', 'sketch_reference')
            buffer = torch.zeros(shape, dtype=torch.int64 if whole else None)
            self.register_buffer(name, buffer)
        self.register_buffer('fitted', torch.tensor(False))

    def _class_priors(self, present: Tensor, seen: Tensor) -> Tensor:
        """(C,) bool, and pixels of each class -> (C,), 0 if not present."""
        prior = torch.ones_like(seen)
        if self.priors == 'empirical':
            prior = seen.clamp_min(1)  # it was seen
        prior = prior * present
        return prior / prior.sum()

    @torch.no_grad()
    def score_samples(self, features: Tensor) -> Tensor:
        """Log density of each vector, (N, D) -> (N,), in nats.

        float32, whatever autocast says. NaN where a feature is not finite,
        -inf where a vector is too far away for float32.
        """
        with torch.autocast(features.device.type, enabled=False):
            vectors, constant = self._prepared(features.float())
            if self.sketched:
                joint = self._nearest_joint(vectors)
            else:
                joint = self._joint(vectors)
            log_probs = _logsumexp(joint)
            return log_probs if constant is None else log_probs + constant

    @torch.no_grad()
    def log_prob(self, features: Tensor) -> Tensor:
        """Log density under each class, exactly, (N, D) -> (N, C), in nats.

        In the precision of the features, float32 at least; -inf for a class
        that was never seen. Its ``logsumexp`` with the log priors is what
        :meth:`score_samples` approximates; a class's own prior is taken out.

        Raises:
            NotFittedError: Before the fit.
        """
        if not self.fitted:
            raise NotFittedError('This density is not fitted yet.')
        with torch.autocast(features.device.type, enabled=False):
            precision = torch.promote_types(features.dtype, torch.float32)
            vectors, constant = self._prepared(features.to(precision))
            joint = self._joint(vectors)
            joint = joint.unflatten(1, (-1, self.components)).logsumexp(2)
            weight = self.log_norms.isfinite().view(self.num_classes, -1)
            prior = self._class_priors(
                weight.any(1), self.class_count.to(precision)
            )
            joint = joint - prior.log()
            joint = joint.masked_fill(prior == 0, -math.inf)
            return joint if constant is None else joint + constant[:, None]

    def _prepared(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """About the offset and projected, and what all classes share."""
        vectors = features - self.offset.to(features)
        if self.rank is None:
            return vectors, None
        basis, noise = self.basis, self.residual_variance
        return project(vectors, basis.to(vectors), noise.to(vectors))

    def _joint(self, vectors: Tensor) -> Tensor:
        """``log π_g N(x; μ_g, Σ_g)`` for all g, (N, K) -> (N, G)."""
        means, shifts, factors, norms = (
            getattr(self, name).to(vectors)
            for name in ('means', 'shifts', 'precisions_cholesky', 'log_norms')
        )
        if self.covariance_type == 'diag':
            return norms - 0.5 * diagonal_squares(vectors, factors, means)
        if self.covariance_type == 'tied':
            return norms - 0.5 * tied_squares(vectors, factors[0], shifts)
        if self.sketched:  # one by one: less memory
            pairs = zip(factors.split(1), shifts.split(1))
            roots = torch.cat(
                [distances(vectors, *pair) for pair in pairs]
            ).t()
        else:
            roots = distances(vectors, factors, shifts).t()
        return torch.addcmul(norms, roots, roots, value=-0.5)

    def _nearest_joint(self, vectors: Tensor) -> Tensor:
        """The same for the widest Gaussian and the nearest others."""
        sketch = Sketch(
            *(getattr(self, f'sketch_{name}') for name in Sketch._fields)
        )
        groups, roots = nearest_gaussians(
            vectors, sketch, self.precisions_cholesky, self.shifts, NEAREST
        )
        norms = self.log_norms[groups]
        return torch.addcmul(norms, roots, roots, value=-0.5)


def _logsumexp(values: Tensor) -> Tensor:
    """Of rows, also in ONNX, where runtimes let ``logsumexp`` underflow."""
    if not torch.onnx.is_in_onnx_export():
        return values.logsumexp(1)
    highest = values.amax(1, keepdim=True)
    highest = highest.clamp_min(torch.finfo(values.dtype).min)
    total = (values - highest).exp().sum(1)
    return total.log() + highest.squeeze(1)
