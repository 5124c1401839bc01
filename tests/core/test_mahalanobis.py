"""Early stopping, row blocks and layouts against float64 distributions."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from mmseg_ddu.core import GaussianDiscriminant
from mmseg_ddu.core.mahalanobis import ROWS, TAIL, columns, whiten

CLASSES, DIM = 4, 2 * ROWS + 40  # three blocks of rows, one not full


def problem(separation, n=300, dim=DIM, seed=0):
    """Vectors, and one Gaussian per class in float64."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (n,), generator=rng)
    means = torch.randn(CLASSES, dim, generator=rng).double() * separation
    half = torch.randn(CLASSES, dim, dim, generator=rng).double()
    cov = half @ half.mT / dim + 0.3 * torch.eye(dim).double()
    heights = torch.tensor([0.5, 1.0, 1.0, 2.0])[:, None, None]
    cov = cov * heights
    noise = torch.randn(n, dim, 1, generator=rng).double()
    x = means[y] + (torch.linalg.cholesky(cov)[y] @ noise)[..., 0]
    return x, y, means, cov


def density(means, cov, dtype=torch.float64):
    """A discriminant with known parameters, and torch's Gaussians."""
    model = GaussianDiscriminant(CLASSES, means.shape[1]).double()
    offset = means.mean(0)
    factors = torch.linalg.inv(torch.linalg.cholesky(cov)).mT
    model.offset.copy_(offset)
    model.means.copy_(means - offset)
    model.precisions_cholesky.copy_(factors)
    model.log_dets.copy_(factors.diagonal(dim1=1, dim2=2).log().sum(1))
    model.log_priors.fill_(-math.log(CLASSES))
    model.fitted.fill_(True)
    return model.to(dtype), MultivariateNormal(means, cov)


@pytest.mark.parametrize('separation', [0.0, 0.02, 0.1, 1.0, 10.0])
def test_early_stopping_keeps_its_bound(separation):
    """Classes that all matter, some, or one."""
    x, _, means, cov = problem(separation)
    model, reference = density(means, cov)
    expected = torch.logsumexp(
        reference.log_prob(x[:, None]) - math.log(CLASSES), 1
    )
    bound = (CLASSES - 1) * math.exp(-TAIL)
    np.testing.assert_allclose(
        model.score_samples(x), expected, rtol=1e-12, atol=bound + 1e-9
    )
    single = density(means, cov, torch.float32)[0]
    np.testing.assert_allclose(
        single.score_samples(x.float()), expected, rtol=2e-5, atol=2e-3
    )


def test_early_stopping_far_from_every_class():
    """Vectors where float32 densities underflow by far."""
    x, _, means, cov = problem(0.1)
    model, reference = density(means, cov)
    x = 50 * x
    expected = torch.logsumexp(
        reference.log_prob(x[:, None]) - math.log(CLASSES), 1
    )
    assert expected.max() < -1e4
    np.testing.assert_allclose(model.score_samples(x), expected, rtol=1e-10)


@pytest.mark.parametrize('dim', [3, ROWS, ROWS + 1, DIM])
def test_each_class_in_any_layout(dim):
    x, y, means, cov = problem(0.1, dim=dim)
    model, reference = density(means, cov)
    expected = reference.log_prob(x[:, None])
    channels_first = x.T.contiguous().T
    for features in (x, channels_first):
        np.testing.assert_allclose(
            model.log_prob(features), expected, rtol=1e-9
        )
        own = expected.gather(1, y[:, None])[:, 0]
        np.testing.assert_allclose(
            model.log_prob_of(features, y), own, rtol=1e-9
        )


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('rank', [None, 8])
def test_scale_multiplies_the_vectors(kind, rank):
    x, y, _, _ = problem(0.3, dim=20)
    model = GaussianDiscriminant(CLASSES, 20, kind, rank).double()
    model.fit(x, y)
    scale = torch.rand(len(x)).double() + 0.5
    scaled = x * scale[:, None]
    np.testing.assert_allclose(
        model.log_prob(x, scale), model.log_prob(scaled), rtol=1e-9
    )
    np.testing.assert_allclose(
        model.score_samples(x, scale), model.score_samples(scaled), rtol=1e-9
    )
    np.testing.assert_allclose(
        model.log_prob_of(x, y, scale),
        model.log_prob_of(scaled, y),
        rtol=1e-9,
    )


def test_whitening_by_blocks():
    _, _, _, cov = problem(0.0)
    factor = torch.linalg.inv(torch.linalg.cholesky(cov[0])).mT
    x = torch.randn(DIM, 7).double()
    np.testing.assert_allclose(whiten(x, factor), factor.mT @ x, rtol=1e-9)


def test_columns_of_both_layouts():
    x = torch.arange(12.0).reshape(3, 4)
    where = torch.tensor([2, 0])
    for layout in (x, x.T.contiguous().T):
        assert torch.equal(columns(layout, where), x[:, where])
        assert columns(layout, torch.arange(4)).shape == (3, 4)
    assert columns(x, torch.tensor([1, 3, 0, 2]))[0].tolist() == [1, 3, 0, 2]
