"""Class covariances from streamed moments, with shrinkage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import require
from .moments import ClassMoments

COVARIANCE_TYPES = ('full', 'tied', 'diag')
SHRINKAGE_TARGETS = ('tied', 'identity')


@dataclass
class CovarianceEstimate:
    """What :func:`estimate_covariances` returns.

    Attributes:
        covariances (Tensor): float64; (C, D, D) for ``full``, (1, D, D) for
            ``tied``, (C, D) for ``diag``. Positive definite.
        shrinkage (Tensor): (C,) or (1,), the weight the target got.
        added (float): What was added to every diagonal, in squared units of
            the features.
        dead_features (Tensor): (D,) bool, channels that never vary.
        lifted (list[int]): Covariances that rounding had left indefinite;
            their diagonals got float32's epsilon times their norm as well.
    """

    covariances: Tensor
    shrinkage: Tensor
    added: float
    dead_features: Tensor
    lifted: list[int]


def oas_shrinkage(covariances: Tensor, counts: Tensor) -> Tensor:
    """Oracle approximating shrinkage (Chen et al., 2010, eq. 23).

    The closed form of the paper with the usual correction for estimated
    means left out, as in scikit-learn.

    Args:
        covariances (Tensor): (..., D, D) maximum-likelihood covariances
            (divided by n).
        counts (Tensor): (...), n.

    Returns:
        Tensor: (...), the weight of the scaled identity, in [0, 1]; 0 for
        D = 1, where that is the covariance itself.
    """
    dim = covariances.shape[-1]
    squares = covariances.square().sum((-2, -1))
    mu = covariances.diagonal(dim1=-2, dim2=-1).mean(-1)
    return _oas(squares, mu, dim, counts)


def _oas(squares: Tensor, mu: Tensor, dim: int, counts: Tensor) -> Tensor:
    """From the sum of squared entries and the mean variance."""
    if dim == 1:
        return torch.zeros_like(mu)
    alpha = squares / dim**2
    numerator = alpha + mu.square()
    denominator = (counts + 1) * (alpha - mu.square() / dim)
    ratio = numerator / denominator.clamp_min(torch.finfo(alpha.dtype).tiny)
    return ratio.clamp(0, 1)


def _identity_like(covariances: Tensor) -> Tensor:
    """Identity times the mean variance, in the layout of the input."""
    if covariances.ndim == 2:
        return covariances.mean(-1, keepdim=True).expand_as(covariances)
    scale = covariances.diagonal(dim1=-2, dim2=-1).mean(-1)
    eye = torch.eye(covariances.shape[-1]).to(covariances)
    return scale[:, None, None] * eye


def _weights(
    shrinkage: float | str, covariances: Tensor, counts: Tensor
) -> Tensor:
    """Shrinkage weight per covariance; OAS is the floor for small classes."""
    biased = (counts - 1) / counts.clamp_min(1)
    dim = covariances.shape[-1]
    if covariances.ndim == 2:
        scaled = covariances * biased[:, None]
        oas = _oas(scaled.square().sum(1), scaled.mean(1), dim, counts)
    else:  # one by one, to need less memory
        parts = zip(covariances, biased, counts)
        oas = torch.stack([oas_shrinkage(s * b, n) for s, b, n in parts])
    if shrinkage == 'oas':
        weights = oas
    else:
        weights = torch.full_like(oas, float(shrinkage))
        # Fewer vectors than dimensions: the sample covariance is singular.
        weights = torch.where(counts <= dim, weights.maximum(oas), weights)
    return torch.where(counts < 2, torch.ones_like(weights), weights)


def _column(values: Tensor, covariances: Tensor) -> Tensor:
    """One value a covariance, in a shape that multiplies them."""
    return values.reshape(-1, *[1] * (covariances.ndim - 1))


def check_options(
    covariance_type: str,
    shrinkage: float | str,
    shrinkage_target: str,
    reg_covar: float,
) -> None:
    """Raise ValueError unless :func:`estimate_covariances` takes them."""
    require(
        covariance_type in COVARIANCE_TYPES,
        f'covariance_type to be one of {COVARIANCE_TYPES}',
        covariance_type,
    )
    require(
        shrinkage_target in SHRINKAGE_TARGETS,
        f'shrinkage_target to be one of {SHRINKAGE_TARGETS}',
        shrinkage_target,
    )
    require(
        shrinkage == 'oas'
        or (not isinstance(shrinkage, str) and 0 <= shrinkage <= 1),
        "shrinkage to be a number in [0, 1] or 'oas'",
        shrinkage,
    )
    require(reg_covar > 0, 'reg_covar > 0', reg_covar)


def _scatters(moments: ClassMoments, covariance_type: str) -> Tensor:
    """In the layout of the covariances to be."""
    for name, enough in (('diagonal', 'diag'), ('pooled', 'tied')):
        if getattr(moments, name) and covariance_type != enough:
            raise ValueError(
                f'{name.capitalize()} moments cannot give '
                f'{covariance_type!r} covariances; collect them with '
                f'{name}=False.'
            )
    if covariance_type != 'diag' or moments.diagonal:
        return moments.scatters
    # A projection can round the variance of a dead direction below 0.
    return moments.scatters.diagonal(dim1=-2, dim2=-1).clamp_min(0)


def estimate_covariances(
    moments: ClassMoments,
    covariance_type: str = 'full',
    shrinkage: float | str = 0.0,
    shrinkage_target: str = 'tied',
    reg_covar: float = 1e-6,
) -> CovarianceEstimate:
    """Unbiased, shrunk, regularised covariances.

    ``Σ_c = (1 - a_c) S_c + a_c T + r I`` with S_c divided by ``n_c - 1``
    (the DDU paper, arXiv 2102.11582), T the tied covariance or the identity
    times the mean variance of S_c, and ``r = reg_covar`` times the mean
    variance of the tied covariance. Classes with no more vectors than
    dimensions are shrunk by at least the OAS weight; with fewer than two
    they take the target.

    Args:
        moments (ClassMoments): What was seen.
        covariance_type (str): ``full``, ``tied`` or ``diag``.
        shrinkage (float or str): a_c for every class, or ``'oas'``.
        shrinkage_target (str): ``tied`` or ``identity``. The tied covariance
            itself is always shrunk towards the identity.
        reg_covar (float): Fraction of the mean variance added to the
            diagonals. Unlike scikit-learn's argument of this name it has no
            unit, so one value fits every network.

    Raises:
        ValueError: On unknown options, or moments that saw nothing.
    """
    check_options(covariance_type, shrinkage, shrinkage_target, reg_covar)
    moments.require_data()
    scatters, counts = _scatters(moments, covariance_type), moments.counts
    freedom = counts.sum()[None] - int((counts > 0).sum())
    tied = scatters.sum(0, keepdim=True) / freedom.clamp_min(1)
    variances = (tied[0] if tied.ndim == 2 else tied[0].diagonal()).clone()
    tied_shrinkage = shrinkage if covariance_type == 'tied' else 0.0
    weights = _weights(tied_shrinkage, tied, freedom + 1)
    covariances = tied.lerp_(_identity_like(tied), _column(weights, tied))
    if covariance_type != 'tied':
        covariances, weights = _of_classes(
            scatters, counts, tied, shrinkage, shrinkage_target
        )
    spread = float(variances.mean())
    scale = spread if spread > 0 else 1.0
    added = reg_covar * scale
    lifted = _regularise(covariances, added)
    dead = variances <= torch.finfo(torch.float64).eps * scale
    return CovarianceEstimate(covariances, weights, added, dead, lifted)


def _of_classes(
    scatters: Tensor,
    counts: Tensor,
    tied: Tensor,
    shrinkage: float | str,
    shrinkage_target: str,
) -> tuple[Tensor, Tensor]:
    """Shrunk covariances, (C, D, D) or (C, D), and the weights, (C,)."""
    covariances = scatters / _column((counts - 1).clamp_min(1), scatters)
    weights = _weights(shrinkage, covariances, counts)
    target = tied
    if shrinkage_target == 'identity':
        # One pixel has no spread of its own to scale an identity with.
        single = _column(counts < 2, scatters)
        target = tied.where(single, _identity_like(covariances))
    return covariances.lerp_(target, _column(weights, scatters)), weights


def _regularise(covariances: Tensor, added: float) -> list[int]:
    """Add to the diagonals; returns what rounding had left indefinite."""
    if covariances.ndim == 2:
        covariances += added
        return []
    covariances.diagonal(dim1=-2, dim2=-1).add_(added)
    # Moments are products in float32, whose rounding can turn a zero
    # eigenvalue into a negative one of up to epsilon times the largest.
    bad = torch.linalg.cholesky_ex(covariances)[1].nonzero().flatten()
    noise = torch.finfo(torch.float32).eps * torch.linalg.matrix_norm(
        covariances[bad]
    )
    eye = torch.eye(covariances.shape[-1]).to(covariances)
    covariances[bad] += noise[:, None, None] * eye
    return bad.tolist()


def precision_factors(covariances: Tensor) -> Tensor:
    """Factors P with ``P P^T = Σ^-1``, upper triangular.

    Args:
        covariances (Tensor): (C, D, D), or (C, D) for diagonal ones, which
            is the shape of the factors.

    Raises:
        torch.linalg.LinAlgError: If a covariance is not positive definite.
    """
    if covariances.ndim == 2:
        return covariances.rsqrt()
    factors = torch.empty_like(covariances)
    eye = torch.eye(covariances.shape[-1]).to(covariances)
    bad = []
    for label, covariance in enumerate(covariances):  # to need less memory
        lower, info = torch.linalg.cholesky_ex(covariance)
        if info:
            bad.append(label)
            continue
        factors[label] = torch.linalg.solve_triangular(
            lower, eye, upper=False
        ).mT
    if bad:
        raise torch.linalg.LinAlgError(
            f'The covariances number {bad} are not positive definite. Raise '
            "reg_covar (1e-4, say), set shrinkage='oas', or use "
            "covariance_type='tied'."
        )
    return factors


def log_determinants(factors: Tensor) -> Tensor:
    """``log |P|`` of such factors, (C, D, D) or (C, D) -> (C,)."""
    if factors.ndim == 3:
        factors = factors.diagonal(dim1=-2, dim2=-1)
    return factors.log().sum(-1)
