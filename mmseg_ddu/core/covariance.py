"""Class covariances from streamed moments, with shrinkage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

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
    means left out, as in scikit-learn. It needs nothing but the covariance
    and the number of samples, so it works on streamed moments.

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
        parts = zip(_scaled(covariances, biased), counts)
        oas = torch.stack([oas_shrinkage(*part) for part in parts])
    if shrinkage == 'oas':
        weights = oas
    else:
        weights = torch.full_like(oas, float(shrinkage))
        # Fewer vectors than dimensions: the sample covariance is singular.
        weights = torch.where(
            counts <= dim,
            torch.maximum(weights, oas),
            weights,
        )
    return torch.where(counts < 2, torch.ones_like(weights), weights)


def _scaled(covariances: Tensor, factors: Tensor) -> Iterator[Tensor]:
    for covariance, factor in zip(covariances, factors):
        yield covariance * factor


def _shrink(covariances: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    weights = weights.reshape(-1, *[1] * (covariances.ndim - 1))
    if not weights.any():
        return covariances
    return torch.lerp(covariances, target, weights)


def check_shrinkage(shrinkage: float | str) -> None:
    """Raise ValueError unless it is 'oas' or a number in [0, 1]."""
    if shrinkage == 'oas':
        return
    if isinstance(shrinkage, str) or not 0 <= shrinkage <= 1:
        raise ValueError(
            'Expected shrinkage to be a number in [0, 1] or '
            f"'oas', but got {shrinkage!r}."
        )


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

    Returns:
        CovarianceEstimate: float64.

    Raises:
        ValueError: On unknown options, or moments that saw nothing.
    """
    if covariance_type not in COVARIANCE_TYPES:
        raise ValueError(
            f'Expected covariance_type to be one of '
            f'{COVARIANCE_TYPES}, but got {covariance_type!r}.'
        )
    if shrinkage_target not in SHRINKAGE_TARGETS:
        raise ValueError(
            f'Expected shrinkage_target to be one of '
            f'{SHRINKAGE_TARGETS}, but got {shrinkage_target!r}.'
        )
    check_shrinkage(shrinkage)
    if not reg_covar > 0:
        raise ValueError(f'Expected reg_covar > 0, but got {reg_covar}.')
    if moments.diagonal and covariance_type != 'diag':
        raise ValueError(
            f'Diagonal moments cannot give {covariance_type!r} '
            'covariances; collect them with diagonal=False.'
        )
    if moments.pooled and covariance_type != 'tied':
        raise ValueError(
            f'Pooled moments cannot give {covariance_type!r} '
            'covariances; collect them with pooled=False.'
        )

    diag = covariance_type == 'diag'
    scatters = moments.scatters
    if diag and not moments.diagonal:
        # A projection can round the variance of a dead direction below 0.
        scatters = scatters.diagonal(dim1=-2, dim2=-1).clamp_min(0)
    counts = moments.counts
    present = int((counts > 0).sum())
    moments._require_data()
    total = counts.sum()[None]
    tied = scatters.sum(0, keepdim=True) / (total - present).clamp_min(1)
    tied_variance = (tied[0] if diag else tied[0].diagonal()).clone()

    tied_shrinkage = shrinkage if covariance_type == 'tied' else 0.0
    tied_weight = _weights(tied_shrinkage, tied, total - present + 1)
    tied = _shrink(tied, _identity_like(tied), tied_weight)
    if covariance_type == 'tied':
        covariances, weights = tied, tied_weight
    else:
        divisor = (counts - 1).clamp_min(1)
        covariances = scatters / divisor.reshape(
            -1, *[1] * (scatters.ndim - 1)
        )
        weights = _weights(shrinkage, covariances, counts)
        target = (
            tied if shrinkage_target == 'tied' else _identity_like(covariances)
        )
        # One pixel has no spread of its own to scale an identity with.
        single = (counts < 2).reshape(-1, *[1] * (scatters.ndim - 1))
        if single.any():
            target = torch.where(single, tied, target)
        covariances = _shrink(covariances, target, weights)

    spread = float(tied_variance.mean())
    scale = spread if spread > 0 else 1.0
    added = reg_covar * scale
    lifted: list[int] = []
    if diag:
        covariances = covariances + added
    else:
        covariances.diagonal(dim1=-2, dim2=-1).add_(added)
        lifted = _lift(covariances)
    dead = tied_variance <= torch.finfo(torch.float64).eps * scale
    return CovarianceEstimate(covariances, weights, added, dead, lifted)


def _lift(covariances: Tensor) -> list[int]:
    """Make matrices that rounding left indefinite positive definite.

    Moments are products in float32, whose rounding can turn a zero
    eigenvalue into a negative one of up to epsilon times the largest. Where
    a strong direction makes that more than ``reg_covar`` adds, in matrices
    without a Cholesky factor alone, epsilon times the Frobenius norm is
    added to the diagonal, once and in place.
    """
    bad = torch.linalg.cholesky_ex(covariances)[1].nonzero().flatten()
    noise = torch.finfo(torch.float32).eps * torch.linalg.matrix_norm(
        covariances[bad]
    )
    eye = torch.eye(covariances.shape[-1]).to(covariances)
    covariances[bad] += noise[:, None, None] * eye
    return bad.tolist()


def precision_factors(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Factors P with ``P P^T = Σ^-1``, and their log-determinants.

    Args:
        covariances (Tensor): (C, D, D), or (C, D) for diagonal ones.

    Returns:
        tuple[Tensor, Tensor]: Upper triangular (C, D, D), or (C, D); and
        (C,) ``log |P|``, half the log-determinant of the precision.

    Raises:
        torch.linalg.LinAlgError: If a covariance is not positive definite.
    """
    if covariances.ndim == 2:
        factors = covariances.rsqrt()
        return factors, factors.log().sum(-1)
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
    log_dets = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return factors, log_dets
