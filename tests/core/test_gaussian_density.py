"""Gaussians of each class against references in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from torch.distributions import MultivariateNormal

from mmseg_ddu.core.covariance import estimate_covariances
from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.kmeans import class_centers
from mmseg_ddu.core.nearest_gaussians import distances, distances_to_own


def data(n=1200, dim=5, classes=3, seed=0):
    """Classes of different place, shape and size; float64."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=rng)
    x = torch.randn(n, dim, generator=rng, dtype=torch.float64)
    mixing = torch.randn(classes, dim, dim, generator=rng).double()
    width = torch.logspace(-0.5, 0.5, classes).double()
    mixing = mixing * width[:, None, None] / dim**0.5
    centers = 2 * torch.randn(classes, dim, generator=rng).double()
    return torch.einsum('nd,nde->ne', x, mixing[y]) + centers[y], y


def fitted(x, y, classes, **options):
    density = GaussianDensity(classes, x.shape[1], **options)
    moments = density.new_moments()
    moments.update(x, density.groups(x, y))
    return density, density.fit_moments(moments)


def reference(x, y, classes, density, **options):
    """log p in float64, Gaussian by Gaussian."""
    moments = density.new_moments()
    moments.update(x, y)
    keys = ('covariance_type', 'shrinkage', 'reg_covar', 'shrinkage_target')
    chosen = {k: options[k] for k in keys if k in options}
    estimate = estimate_covariances(moments, **chosen)
    parts = []
    counts = y.bincount(minlength=classes).double()
    weights = torch.ones_like(counts)
    if options.get('priors') == 'empirical':
        weights = counts
    weights = weights * (counts > 0)
    for label in counts.nonzero().flatten().tolist():
        covariance = estimate.covariances[
            0 if len(estimate.covariances) == 1 else label
        ]
        if covariance.ndim == 1:
            covariance = covariance.diag()
        normal = MultivariateNormal(moments.means[label], covariance)
        prior = weights[label] / weights.sum()
        parts.append(normal.log_prob(x) + prior.log())
    return torch.stack(parts).logsumexp(0)


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('priors', ['uniform', 'empirical'])
@pytest.mark.parametrize('classes, dim', [(3, 5), (7, 12)])
def test_log_density_against_torch(kind, priors, classes, dim):
    x, y = data(classes=classes, dim=dim)
    options = dict(covariance_type=kind, priors=priors, shrinkage=0.1)
    density, _ = fitted(x, y, classes, **options)
    expected = reference(x, y, classes, density, **options)
    got = density.score_samples(x)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-3)
    exact = density.double().log_prob(x)
    weights = y.bincount(minlength=classes).double()
    weights = torch.ones(classes) if priors == 'uniform' else weights
    both = (exact + (weights / weights.sum()).log()).logsumexp(1)
    np.testing.assert_allclose(both, expected, rtol=1e-5, atol=1e-4)


def test_paper_against_quadratic_discriminant_analysis():
    x, y = data()
    density, _ = fitted(x, y, 3, shrinkage=0.0, reg_covar=1e-12)
    qda = QuadraticDiscriminantAnalysis(priors=[1 / 3] * 3).fit(x, y)
    joint = density.log_prob(x)
    ours = (joint - joint.logsumexp(1, keepdim=True)).exp()
    np.testing.assert_allclose(ours, qda.predict_proba(x), atol=2e-4)


def test_absent_and_single_vector_classes():
    x, y = data(classes=3)
    y = torch.where(y == 1, 0, y)  # class 1 is absent, class 3 has one
    y[0] = 3
    density, report = fitted(x, y, 5, shrinkage=0.05)
    assert report['absent_classes'] == [1, 4]
    scores = density.score_samples(x)
    assert scores.isfinite().all()
    assert (density.log_prob(x)[:, [1, 4]] == -math.inf).all()
    assert density.log_norms.isfinite().sum() == 3


def wide_and_narrow(classes=21, dim=128, n=12_000):
    """One wide class that mixes everything, as a background does."""
    rng = torch.Generator().manual_seed(3)
    centers = torch.randn(classes, dim, generator=rng)
    mixing = torch.randn(classes, dim, dim, generator=rng) / dim**0.5
    y = torch.randint(0, classes, (n,), generator=rng)
    y[: n // 2] = 0
    noise = torch.randn(n, dim, generator=rng)
    x = 0.4 * torch.einsum('nd,nde->ne', noise, mixing[y]) + centers[y]
    x[y == 0] = 1.2 * torch.randn(int((y == 0).sum()), dim, generator=rng)
    test = torch.cat([x[::5], 0.7 * (x[1:2001] + x[2001:4001])])
    return x, y, test


def test_many_gaussians_rank_as_the_exact_ones():
    """The widest and the nearest stand for all of them."""
    x, y, test = wide_and_narrow()
    density, _ = fitted(x, y, 21)
    assert density.sketched
    got = density.score_samples(test)
    exact = density.double().log_prob(test.double())
    exact = (exact - math.log(21)).logsumexp(1)
    assert spearmanr(got, exact)[0] >= 0.999
    # What is left out can only be missing.
    assert (got <= exact + 1e-2).all()
    assert (got.double() - exact).abs().median() < 1e-2


def test_a_class_that_was_never_seen_is_never_near():
    x, y, test = wide_and_narrow()
    y = torch.where(y == 5, 6, y)
    density, report = fitted(x, y, 21)
    assert report['absent_classes'] == [5]
    exact = density.log_prob(test) - math.log(20)
    got = density.score_samples(test)
    assert got.isfinite().all()
    assert spearmanr(got, exact.logsumexp(1))[0] >= 0.999


@pytest.mark.parametrize('number', [1, 7, 500])
def test_distances_to_own_against_a_loop(number):
    rng = torch.Generator().manual_seed(0)
    factors = torch.randn(6, 10, 10, generator=rng).triu()
    shifts = torch.randn(6, 10, generator=rng)
    x = torch.randn(number, 10, generator=rng)
    groups = torch.randint(0, 5, (number, 3), generator=rng)
    got = distances_to_own(x, groups, factors, shifts)
    for pick in range(3):
        for row in range(number):
            g = groups[row, pick]
            expected = (x[row] @ factors[g] - shifts[g]).norm()
            assert got[row, pick] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize('dim', [10, 257])
def test_distances_against_a_loop(dim):
    """From 256 dimensions on in two halves."""
    rng = torch.Generator().manual_seed(0)
    factors = torch.randn(3, dim, dim, generator=rng).triu()
    shifts = torch.randn(3, dim, generator=rng)
    x = torch.randn(20, dim, generator=rng)
    expected = [(x @ f - s).norm(dim=1) for f, s in zip(factors, shifts)]
    got = distances(x, factors, shifts)
    torch.testing.assert_close(got, torch.stack(expected))


def test_rank_is_a_density_over_all_features():
    """Against the covariance that the model implies, written out."""
    x, y = data(dim=6)
    density, _ = fitted(x, y, 3, rank=2, shrinkage=0.0)
    wide = density.double()
    basis, noise = wide.basis, wide.residual_variance
    parts = []
    for label in range(3):
        factor = wide.precisions_cholesky[label]
        inner = torch.linalg.inv(factor @ factor.mT)
        rest = torch.eye(6).double() - basis @ basis.mT
        covariance = basis @ inner @ basis.mT + noise * rest
        mean = wide.offset + basis @ wide.means[label]
        # In the dropped directions every class has the pooled mean.
        normal = MultivariateNormal(mean, covariance)
        parts.append(normal.log_prob(x) - math.log(3))
    expected = torch.stack(parts).logsumexp(0)
    np.testing.assert_allclose(
        wide.float().score_samples(x), expected, rtol=1e-3, atol=1e-2
    )


def two_lumps(n=3000):
    """A class that is a mixture of two, and an ordinary one."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = 0.3 * torch.randn(n, 4, generator=rng)
    side = torch.randint(0, 2, (n,), generator=rng) * 2 - 1
    x[:, 0] += torch.where(y == 0, 5.0 * side, 0.0)
    return x, y


def test_components_fit_a_mixture():
    x, y = two_lumps()
    single, _ = fitted(x, y, 2)
    density = GaussianDensity(2, 4, components=2)
    density.centers.copy_(class_centers(x, y, 2, 2).flatten(0, 1))
    moments = density.new_moments()
    for part in torch.arange(len(x)).split(700):  # as it streams
        groups = density.groups(x[part], y[part])
        moments.update(x[part], groups)
    density.fit_moments(moments)
    between = torch.tensor([[0.0, 3.0, 0.0, 0.0]])
    assert density.score_samples(x).mean() > single.score_samples(x).mean()
    assert density.score_samples(between) < single.score_samples(between)
    assert density.log_prob(x).shape == (len(x), 2)
    void = torch.tensor([255, -1])
    assert density.groups(x[:2], void).tolist() == [-1, -1]


def test_centres_are_as_good_as_scikit_learns():
    from sklearn.cluster import KMeans

    rng = torch.Generator().manual_seed(0)
    x = torch.randn(900, 3, generator=rng)
    x[:300] += 6
    x[300:600] -= 6
    y = torch.zeros(900, dtype=torch.long)
    (centers,) = class_centers(x, y, 1, 3)
    inertia = torch.cdist(x, centers).amin(1).square().sum()
    best = KMeans(3, n_init=10, random_state=0).fit(x).inertia_
    assert inertia <= 1.02 * best
    few = class_centers(x[:2], y[:2], 1, 3)
    assert (few[0, 2] > 1e17).all() and (few[0, :2] < 1e3).all()
    same = class_centers(x, y, 1, 3)
    assert torch.equal(same[0], centers)


def test_vectors_that_are_not_finite_leave_the_others_alone():
    x, y, test = wide_and_narrow(n=6000)
    for kind in ('full', 'tied', 'diag'):
        density, _ = fitted(x, y, 21, covariance_type=kind)
        clean = density.score_samples(test[:60])
        odd = test[:60].clone()
        odd[10, 3], odd[20, 0], odd[30, 5] = torch.nan, torch.inf, 3e38
        got = density.score_samples(odd)
        lost = torch.zeros(60, dtype=torch.bool)
        lost[[10, 20, 30]] = True
        torch.testing.assert_close(got[~lost], clean[~lost])
        assert not got[lost].isfinite().any()


def test_options_that_make_no_sense():
    for options, match in (
        (dict(covariance_type='round'), 'covariance_type'),
        (dict(components=0), 'components'),
        (dict(rank=5), 'rank'),
        (dict(priors='flat'), 'priors'),
        (dict(shrinkage=2), 'shrinkage'),
    ):
        with pytest.raises(ValueError, match=match):
            GaussianDensity(3, 5, **options)
    with pytest.raises(ValueError, match='GiB'):
        GaussianDensity(150, 8192)
    with pytest.raises(NotFittedError):
        GaussianDensity(3, 5).log_prob(torch.zeros(1, 5))
    with pytest.raises(ValueError, match='gaussian'):
        DENSITIES.find('parzen')
