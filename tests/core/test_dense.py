"""Dense scoring against the engine and against loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core import GaussianDiscriminant
from mmseg_ddu.core.dense import (
    dense_inverse_norms,
    dense_log_probs,
    dense_region_means,
    nearest_classes,
    present_classes,
)


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('rank', [None, 6])
def test_log_probs(kind, rank):
    features = torch.randn(400, 9) + torch.arange(9.0)
    labels = torch.randint(0, 4, (400,))
    labels[labels == 2] = 3  # a class that is never seen
    density = GaussianDiscriminant(4, 9, covariance_type=kind, rank=rank)
    density.fit(features, labels)
    scale = torch.rand(50) + 0.5
    test = torch.randn(50, 9)
    present = present_classes(density)
    assert present == [0, 1, 3]
    each, mixture = dense_log_probs(density, test, present, scale)
    close = dict(rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(
        mixture, density.score_samples(test, scale), **close
    )
    for label in range(4):
        own = density.log_prob_of(test, torch.full((50,), label), scale)
        torch.testing.assert_close(each[label], own, **close)


def test_log_probs_are_those_of_torch():
    features = torch.randn(300, 5).double()
    labels = torch.randint(0, 3, (300,))
    density = GaussianDiscriminant(3, 5, reg_covar=1e-9)
    density.fit(features, labels)
    each, _ = dense_log_probs(density, features.float(), [0, 1, 2])
    for label in range(3):
        chosen = features[labels == label]
        normal = torch.distributions.MultivariateNormal(
            chosen.mean(0), chosen.T.cov()
        )
        torch.testing.assert_close(
            each[label].double(),
            normal.log_prob(features),
            rtol=1e-4,
            atol=1e-3,
        )


def test_region_means_by_a_loop():
    values = torch.randn(3, 1, 7, 5)
    regions = torch.randint(0, 4, (3, 1, 7, 5))
    result = dense_region_means(values, regions, 6)
    for image, where, means in zip(values, regions, result):
        for label in range(4):
            chosen = where == label
            torch.testing.assert_close(
                means[chosen], image[chosen].mean().expand(chosen.sum())
            )


@pytest.mark.parametrize('old', [(7, 9), (8, 8), (5, 16)])
@pytest.mark.parametrize('new', [(3, 5), (4, 4), (11, 20), (8, 9)])
def test_nearest_is_nearest_exact(old, new):
    classes = torch.arange(old[0] * old[1]).reshape(1, 1, *old)
    expected = F.interpolate(classes.float(), new, mode='nearest-exact')
    assert (nearest_classes(classes, new) == expected).all()


def test_inverse_norms():
    features = torch.randn(6, 4)
    features[2] = 0
    expected = 1 / features.norm(dim=1).clamp_min(1e-12)
    torch.testing.assert_close(dense_inverse_norms(features), expected)
