"""Covariances against numpy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from mmseg_ddu.core import ClassMoments, estimate_covariances, oas_shrinkage
from mmseg_ddu.core.covariance import precision_factors
from tests.core.test_moments import data


@pytest.mark.parametrize('n', [3, 20, 500])
def test_oas_is_scikit_learns(n):
    x, _ = data(n=n)
    cov = np.cov(x.numpy().T, bias=True)
    got = oas_shrinkage(torch.tensor(cov)[None], torch.tensor([float(n)]))
    assert got.item() == pytest.approx(OAS().fit(x.numpy()).shrinkage_)


def test_full_is_numpys_and_scikit_learns_qda():
    x, y = data()
    qda = QuadraticDiscriminantAnalysis(store_covariance=True, tol=0.0)
    qda.fit(x.numpy(), y.numpy())
    moments = ClassMoments(3, 5).update(x, y)
    got = estimate_covariances(moments, reg_covar=1e-14).covariances
    for label in range(3):
        unbiased = np.cov(x[y == label].numpy().T)
        np.testing.assert_allclose(got[label], unbiased, rtol=1e-9)
        # scikit-learn divides by n - 1 or by n, depending on its version.
        theirs = qda.covariance_[label]
        theirs = theirs * np.trace(unbiased) / np.trace(theirs)
        np.testing.assert_allclose(got[label], theirs, rtol=1e-9, atol=1e-11)


def test_tied_and_diag():
    x, y = data()
    moments = ClassMoments(3, 5).update(x, y)
    within = sum(
        (y == c).sum().item() * np.cov(x[y == c].numpy().T, bias=True)
        for c in range(3)
    )
    tied = estimate_covariances(moments, 'tied', reg_covar=1e-14)
    np.testing.assert_allclose(tied.covariances[0], within / (len(x) - 3))
    for diagonal in (False, True):
        streamed = ClassMoments(3, 5, diagonal).update(x, y)
        diag = estimate_covariances(streamed, 'diag', reg_covar=1e-14)
        for label in range(3):
            np.testing.assert_allclose(
                diag.covariances[label], x[y == label].var(0)
            )


def test_oas_of_one_dimension_leaves_the_variance_alone():
    weights = oas_shrinkage(torch.ones(2, 1, 1), torch.tensor([3.0, 9.0]))
    assert weights.tolist() == [0, 0]
    x, y = data(dim=1)
    moments = ClassMoments(3, 1).update(x, y)
    plain = estimate_covariances(moments).covariances
    shrunk = estimate_covariances(moments, shrinkage='oas').covariances
    assert torch.equal(plain, shrunk)


@pytest.mark.parametrize('target', ['tied', 'identity'])
def test_shrinkage_is_a_convex_combination(target):
    x, y = data()
    moments = ClassMoments(3, 5).update(x, y)
    plain = estimate_covariances(moments, reg_covar=1e-14).covariances
    tied = estimate_covariances(moments, 'tied', reg_covar=1e-14).covariances
    got = estimate_covariances(
        moments, shrinkage=0.3, shrinkage_target=target, reg_covar=1e-14
    ).covariances
    for label in range(3):
        trace = plain[label].trace() / 5
        other = tied[0] if target == 'tied' else trace * torch.eye(5)
        np.testing.assert_allclose(
            got[label], 0.7 * plain[label] + 0.3 * other
        )


def test_reg_covar_has_no_unit():
    x, y = data()
    small, large = (
        estimate_covariances(
            ClassMoments(3, 5).update(scale * x, y), reg_covar=1e-2
        ).covariances
        for scale in (1.0, 1000.0)
    )
    np.testing.assert_allclose(large, 1e6 * small)


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('shrinkage', [0.0, 'oas'])
def test_small_classes_are_positive_definite(kind, shrinkage):
    """Absent, one pixel, two pixels, and a channel that never varies."""
    x, y = data(n=60)
    x[:, 4] = 3.0
    y[y == 2] = 0
    y[:2] = 2
    y[2] = 3
    moments = ClassMoments(5, 5).update(x, y)
    estimate = estimate_covariances(moments, kind, shrinkage)
    cov = estimate.covariances
    assert torch.isfinite(cov).all()
    variances = cov if kind == 'diag' else torch.linalg.eigvalsh(cov)
    assert (variances > 0).all()
    assert estimate.dead_features.tolist() == [False] * 4 + [True]
    if kind != 'tied':
        assert estimate.shrinkage[3] == 1 and estimate.shrinkage[4] == 1
        assert estimate.shrinkage[2] > 0


def test_constant_features_everywhere():
    moments = ClassMoments(2, 3).update(torch.ones(8, 3), torch.arange(8) % 2)
    estimate = estimate_covariances(moments)
    assert (torch.linalg.eigvalsh(estimate.covariances) > 0).all()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(covariance_type='spherical'), 'covariance_type'),
        (dict(shrinkage=1.5), 'shrinkage'),
        (dict(shrinkage='lw'), 'shrinkage'),
        (dict(shrinkage_target='zero'), 'shrinkage_target'),
        (dict(reg_covar=0.0), 'reg_covar'),
    ],
)
def test_bad_options(options, message):
    x, y = data(n=20)
    with pytest.raises(ValueError, match=message):
        estimate_covariances(ClassMoments(3, 5).update(x, y), **options)


def test_rounding_under_a_strong_direction():
    """Features that fill 21 of 256 dimensions, one far more than others."""
    rng = torch.Generator().manual_seed(0)
    strong = torch.randn(400, 1, generator=rng) * 1e3
    weak = torch.randn(400, 20, generator=rng)
    mixing = torch.randn(21, 256, generator=rng)
    features = torch.cat([strong, weak], 1) @ mixing
    labels = torch.zeros(400, dtype=torch.long)
    moments = ClassMoments(1, 256).update(features, labels)
    got = estimate_covariances(moments, reg_covar=1e-12)
    assert got.lifted == [0]
    values = torch.linalg.eigvalsh(got.covariances[0])
    assert values[0] > 0
    factors = precision_factors(got.covariances)
    assert torch.isfinite(factors).all()
    # No more than rounding was added.
    exact = torch.from_numpy(np.cov(features.double().numpy().T))
    assert float(got.shrinkage[0]) == 0
    difference = (got.covariances[0] - exact).abs().max()
    assert difference < 1e-6 * exact.norm()
    easy = ClassMoments(1, 256).update(
        torch.randn(2000, 256, generator=rng), torch.zeros(2000).long()
    )
    assert estimate_covariances(easy).lifted == []
