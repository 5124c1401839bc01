"""One class more, against torch's Gaussians and scikit-learn's shrinkage."""

import math

import pytest
import torch
from sklearn.covariance import OAS
from torch.distributions import MultivariateNormal

from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.few_shot import few_shot_covariance

CLASSES = 3


def drawn(number, dim, classes=CLASSES, seed=0):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % classes
    mixing = torch.randn(classes, dim, dim, generator=rng) / dim**0.5
    x = torch.randn(number, 1, dim, generator=rng) @ mixing[labels]
    return x[:, 0] + 3 * torch.randn(classes, dim, generator=rng)[labels] + 5


def fitted(dim, kind='gaussian', classes=CLASSES, **options):
    density = DENSITIES.find(kind)(classes, dim, **options)
    x = drawn(600 * classes, dim, classes)
    labels = torch.arange(len(x)) % classes
    if density.components > 1:
        centers = [x[labels == c][: density.components] for c in range(3)]
        density.centers.copy_(torch.cat(centers))
    moments = density.new_moments()
    moments.update(x, density.groups(x, labels))
    density.fit_moments(moments)
    return density, x


def extended(density, vectors, images, kind='gaussian', **options):
    more = DENSITIES.find(kind)(
        density.num_classes + 1, density.num_features, **options
    )
    more.extend(density, vectors, images)
    return more


def covariances(density):
    """Of every Gaussian, float64, from the factors of its precision."""
    factors = density.precisions_cholesky.double()
    if factors.ndim == 2:
        return factors.pow(-2).diag_embed()
    every = torch.linalg.inv(factors @ factors.mT)
    return every.expand(len(density.means), -1, -1)


def test_shrinkage_is_that_of_scikit_learn_with_a_vector_an_image():
    x = drawn(12, 5, classes=1).double()
    shared = torch.eye(5).double() * 2
    found = few_shot_covariance(x, len(x), shared, 0.0)
    weight = OAS().fit(x.numpy()).shrinkage_
    assert 0.05 < weight < 1
    expected = (1 - weight) * torch.cov(x.T) + weight * shared
    torch.testing.assert_close(found, expected)
    assert torch.equal(few_shot_covariance(x, 1, shared, 0.0), shared)
    almost = few_shot_covariance(x, 10**9, shared, 0.25)
    torch.testing.assert_close(almost, 0.75 * torch.cov(x.T) + 0.25 * shared)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(covariance_type='tied'),
        dict(covariance_type='diag'),
        dict(components=2),
        dict(rank=3),
        dict(priors='empirical', shrinkage='oas'),
        dict(kind='pca_bottom', top=2),
    ],
    ids=lambda options: ' '.join(map(str, options.values())) or 'default',
)
@pytest.mark.parametrize('images', [1, 7])
def test_the_new_gaussian_and_the_old_ones(options, images):
    dim = 6
    density, x = fitted(dim, **options)
    few = drawn(40, dim, classes=1, seed=7) + 4
    more = extended(density, few, images, **options)
    queries = torch.cat([x[:30], few])
    before, after = density.log_prob(queries), more.log_prob(queries)
    torch.testing.assert_close(after[:, :-1], before, rtol=1e-5, atol=1e-3)
    z, rest = density._prepared(few.double())
    own = covariances(density)
    counts = density.log_norms.double() - own.logdet() / -2
    weights = counts.softmax(0)
    shared = (weights[:, None, None] * own).sum(0)
    if options.get('covariance_type') == 'diag':
        expected = few_shot_covariance(
            z, images, shared, density.shrinkage
        ).diagonal()
        expected = expected.diag()
    elif options.get('covariance_type') == 'tied':
        expected = shared
    else:
        least = density.shrinkage if density.shrinkage != 'oas' else 0.0
        expected = few_shot_covariance(z, images, shared, least)
    normal = MultivariateNormal(z.mean(0), expected)
    place, rest = density._prepared(queries.double())
    wanted = normal.log_prob(place) + (0 if rest is None else rest)
    torch.testing.assert_close(
        after[:, -1].double(), wanted, rtol=1e-4, atol=2e-3
    )
    # The mixture has one part more.
    prior = torch.full((4,), 1 / 4)
    if options.get('priors') == 'empirical':
        prior = torch.tensor([600, 600, 600, 40.0]) / 1840
    torch.testing.assert_close(
        more.score_samples(queries),
        (after + prior.log()).logsumexp(1),
        rtol=1e-4,
        atol=2e-3,
    )


def test_many_classes_have_a_sketch_that_knows_the_new_one():
    dim, classes = 100, 20  # the sketch begins with the class that is added
    density, x = fitted(dim, classes=classes)
    few = drawn(300, dim, classes=1, seed=3)
    more = extended(density, few, 5)
    assert more.sketched and not density.sketched
    queries = torch.cat([x[:200], few])
    exact = more.log_prob(queries).logsumexp(1) - math.log(classes + 1)
    torch.testing.assert_close(
        more.score_samples(queries), exact, rtol=1e-4, atol=1e-2
    )


def test_a_class_that_was_not_seen_stays_unseen():
    density = DENSITIES.find('gaussian')(3, 4)
    x, labels = drawn(200, 4, classes=2), torch.arange(200) % 2
    density.fit_moments(density.new_moments().update(x, labels))
    more = extended(density, x[:5] + 1, 2)
    found = more.log_prob(x)
    assert (found[:, 2] == -math.inf).all() and found[:, 3].isfinite().all()
    torch.testing.assert_close(
        more.score_samples(x),
        found[:, [0, 1, 3]].logsumexp(1) - math.log(3),
        rtol=1e-4,
        atol=1e-3,
    )


def test_a_subspace_of_another_size_is_refused():
    density, x = fitted(6, 'pca_top')
    with pytest.raises(ValueError, match='set top'):
        extended(density, x, 1, 'pca_top')
