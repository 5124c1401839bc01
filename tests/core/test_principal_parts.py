"""Densities of the two parts of a feature, against scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from mmseg_ddu.core.densities import DENSITIES

CLASSES, DIM = 3, 7


def drawn(number=400):
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (number,), generator=rng)
    means = 3 * torch.randn(CLASSES, DIM, generator=rng)
    noise = torch.randn(number, DIM, generator=rng)
    mixing = torch.randn(DIM, DIM, generator=rng) / DIM**0.5
    return noise @ mixing + means[labels] + 5, labels


def fitted(name, x, y, **options):
    density = DENSITIES.find(name)(CLASSES, DIM, **options)
    moments = density.new_moments()
    moments.update(x, density.groups(x, y))
    density.fit_moments(moments)
    return density


@pytest.mark.parametrize('name', ['pca_top', 'pca_bottom'])
@pytest.mark.parametrize('top', [None, 4])
def test_mixture_of_the_projected_classes(name, top):
    x, y = drawn()
    options = dict(shrinkage=0.0, reg_covar=1e-9)
    density = fitted(name, x, y, top=top, **options)
    pca = PCA(svd_solver='full').fit(x.double().numpy())
    number = top or CLASSES - 1
    some = slice(number) if name == 'pca_top' else slice(number, DIM)
    z = pca.transform(x.double().numpy())[:, some]
    assert density.means.shape == (CLASSES, z.shape[1])
    parts = []
    for label in range(CLASSES):
        own = z[y.numpy() == label]
        covariance = np.atleast_2d(np.cov(own.T))
        normal = multivariate_normal(own.mean(0), covariance)
        parts.append(normal.logpdf(z) - np.log(CLASSES))
    expected = logsumexp(parts, axis=0)
    found = density.score_samples(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_each_part_is_blind_to_the_other():
    x, y = drawn()
    top, bottom = (fitted(name, x, y) for name in ('pca_top', 'pca_bottom'))
    moved = x + 10 * top.basis[:, 0]
    torch.testing.assert_close(
        bottom.score_samples(moved),
        bottom.score_samples(x),
        rtol=1e-3,
        atol=1e-3,
    )
    assert (
        top.score_samples(moved) < top.score_samples(x)
    ).float().mean() > 0.9


def test_options_that_make_no_sense():
    for top in (0, DIM, 2.0):
        with pytest.raises(ValueError, match='top to be in'):
            DENSITIES.find('pca_top')(CLASSES, DIM, top=top)
