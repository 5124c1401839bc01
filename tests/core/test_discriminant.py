"""The discriminant against torch.distributions and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from mmseg_ddu.core import (
    GaussianDiscriminant,
    NotFittedError,
    estimate_covariances,
)
from tests.core.test_moments import data


def fitted(x, y, classes=3, double=True, **options):
    model = GaussianDiscriminant(classes, x.shape[1], **options)
    model = model.double() if double else model
    moments = model.new_moments().update(x, y)
    model.fit_moments(moments)
    return model, moments


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
def test_log_prob_is_torch_distributions(kind):
    x, y = data()
    model, moments = fitted(x, y, covariance_type=kind)
    cov = estimate_covariances(moments, kind).covariances
    if kind == 'diag':
        cov = torch.diag_embed(cov)
    cov = cov.expand(3, 5, 5)
    expected = torch.stack(
        [
            MultivariateNormal(moments.means[c], cov[c]).log_prob(x)
            for c in range(3)
        ],
        1,
    )
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-9)
    score = torch.logsumexp(expected, 1) - np.log(3)
    np.testing.assert_allclose(model.score_samples(x), score, rtol=1e-9)


def test_posterior_is_scikit_learns_qda():
    x, y = data()
    qda = QuadraticDiscriminantAnalysis(store_covariance=True, tol=0.0)
    qda.fit(x.numpy(), y.numpy())
    model = GaussianDiscriminant(
        3, 5, priors='empirical', reg_covar=1e-14
    ).double()
    moments = model.new_moments().update(x, y)
    for label in range(3):  # its divisor, n or n - 1, varies by version
        ours = np.trace(np.cov(x[y == label].numpy().T))
        moments.scatters[label] *= np.trace(qda.covariance_[label]) / ours
    model.fit_moments(moments)
    joint = model.log_prob(x) + model.log_priors
    np.testing.assert_allclose(
        joint.softmax(1), qda.predict_proba(x.numpy()), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize('rank', [1, 3])
def test_rank_is_a_density_over_all_features(rank):
    """Against a low-rank Gaussian of torch with the same parts."""
    x, y = data()
    model, _ = fitted(x, y, rank=rank)
    noise = model.residual_variance
    for label in range(3):
        precision = model.precisions_cholesky[label]
        inner = torch.linalg.inv(precision @ precision.T)
        # cov = U (inner - noise I) U' + noise I, when inner > noise
        factor = torch.linalg.cholesky(inner - noise * torch.eye(rank))
        reference = LowRankMultivariateNormal(
            model.offset + model.basis @ model.means[label],
            model.basis @ factor,
            noise.expand(5),
        )
        np.testing.assert_allclose(
            model.log_prob(x)[:, label], reference.log_prob(x), rtol=1e-8
        )
    centred = (x - x.mean(0)).numpy()
    variances = np.linalg.svd(centred, compute_uv=False) ** 2 / (len(x) - 1)
    assert noise.item() == pytest.approx(variances[rank:].mean(), rel=1e-4)


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('rank', [None, 8])
def test_float32_keeps_its_digits(kind, rank):
    """A large mean and a small spread, scored in float32."""
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(3, (3000,), generator=rng)
    x = torch.randn(3000, 32, generator=rng, dtype=torch.float64)
    x = x + y[:, None] + 50.0
    exact, _ = fitted(x, y, covariance_type=kind, rank=rank)
    single, _ = fitted(x, y, double=False, covariance_type=kind, rank=rank)
    got = single.score_samples(x.float()).double()
    np.testing.assert_allclose(got, exact.score_samples(x), atol=5e-3)


def test_blocks_do_not_change_the_result(monkeypatch):
    x, y = data()
    model, _ = fitted(x, y)
    whole = model.log_prob(x)
    monkeypatch.setattr('mmseg_ddu.core.density._BLOCK_NUMBERS', 35)
    np.testing.assert_allclose(model.log_prob(x), whole, rtol=1e-12)


@pytest.mark.parametrize('options', [{}, dict(rank=2)])
@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
def test_log_prob_of_one_class_each(kind, options, monkeypatch):
    x, y = data()
    model, _ = fitted(x, y, covariance_type=kind, **options)
    chosen = (y + 1) % 3
    expected = model.log_prob(x).gather(1, chosen[:, None])[:, 0]
    monkeypatch.setattr('mmseg_ddu.core.density._BLOCK_NUMBERS', 35)
    np.testing.assert_allclose(
        model.log_prob_of(x, chosen), expected, rtol=1e-9
    )


def test_log_prob_of_an_absent_class_is_that_of_all():
    x, y = data()
    model, _ = fitted(x, y, classes=5)
    np.testing.assert_allclose(
        model.log_prob_of(x, torch.full_like(y, 4)), model.score_samples(x)
    )


def test_absent_class_has_no_weight():
    x, y = data()
    model, _ = fitted(x, y, classes=5)
    assert torch.isneginf(model.log_prob(x)[:, 3:]).all()
    assert torch.isfinite(model.score_samples(x)).all()
    np.testing.assert_allclose(
        model.score_samples(x), fitted(x, y)[0].score_samples(x), rtol=1e-9
    )


def test_one_pixel_class_scores_finitely():
    x, y = data()
    y[y == 2] = 0
    y[0] = 2
    for shrinkage in (0.0, 'oas'):
        model, _ = fitted(x, y, shrinkage=shrinkage)
        assert torch.isfinite(model.log_prob(x)).all()


def test_state_dict_round_trip():
    x, y = data()
    for options in (dict(), dict(rank=2), dict(covariance_type='diag')):
        model, _ = fitted(x, y, double=False, **options)
        other = GaussianDiscriminant(3, 5, **options)
        other.load_state_dict(model.state_dict())
        assert torch.equal(
            other.score_samples(x.float()), model.score_samples(x.float())
        )


def test_half_and_autocast_stay_in_float32():
    x, y = data()
    model, _ = fitted(x, y, double=False)
    expected = model.score_samples(x.float())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = model.score_samples(x.float())
    assert inside.dtype == torch.float32
    assert torch.equal(inside, expected)
    model.half()
    assert model.means.dtype == torch.float32
    assert torch.equal(model.score_samples(x.float()), expected)


def test_not_fitted_and_bad_input():
    model = GaussianDiscriminant(3, 5)
    with pytest.raises(NotFittedError, match='not fitted'):
        model.score_samples(torch.zeros(1, 5))
    x, y = data()
    model, _ = fitted(x, y)
    with pytest.raises(ValueError, match=r'shape \(N, 5\)'):
        model.score_samples(torch.zeros(1, 4))
    with pytest.raises(ValueError, match='rank'):
        GaussianDiscriminant(3, 5, rank=5)
    with pytest.raises(ValueError, match='priors'):
        GaussianDiscriminant(3, 5, priors='flat')
