"""A Gaussian classifier against torch.distributions and scikit-learn."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from mmseg_ddu.models.gaussian_classifier import (
    GaussianClassifier,
    _even_shares,
)
from tests.models.fitting import noise
from tests.processes import run_ranks


def moved(classifier, pixels=4000):
    """Let it see features of two blobs a class; their embeddings."""
    rng = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (1, 40, pixels // 40), generator=rng)
    side = torch.randint(0, 2, labels.shape, generator=rng) * 2 - 1
    feature = 0.3 * torch.randn((1, 5, *labels.shape[1:]), generator=rng)
    for c in range(3):
        feature[:, c] += 2 * (labels == c)
    feature[:, 3] += side
    classifier.train()
    classifier(feature)
    classifier.observe(labels)
    z = classifier.embedding(feature).movedim(1, -1).flatten(0, 2).detach()
    return z, labels.flatten()


@pytest.mark.parametrize('covariance_type', ['diag', 'tied', 'full'])
@pytest.mark.parametrize('components', [1, 3])
def test_log_density_is_that_of_torch(covariance_type, components):
    torch.manual_seed(0)
    classifier = GaussianClassifier(
        5, 3, 4, components, covariance_type=covariance_type, reg_covar=1e-2
    )
    z, _ = moved(classifier)
    torch.nn.init.normal_(classifier.shift, std=0.3)
    classifier.requires_grad_(False)
    covariances = classifier.covariances().double()
    if covariance_type == 'diag':
        covariances = torch.diag_embed(covariances)
    covariances = covariances.expand(3, components, 4, 4)
    # A mean is shifted by standard deviations.
    factors = torch.linalg.cholesky(covariances)
    shift = factors @ classifier.shift.double()[..., None]
    wanted = MultivariateNormal(
        classifier.means + shift[..., 0], covariances
    ).log_prob(z[:50, None, None].double())
    torch.testing.assert_close(
        classifier.log_prob(z[:50]).double(), wanted, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize('covariance_type', ['diag', 'full'])
def test_one_gaussian_a_class_has_the_moments_of_its_pixels(covariance_type):
    torch.manual_seed(0)
    classifier = GaussianClassifier(
        5, 3, 4, covariance_type=covariance_type, momentum=0, reg_covar=1e-4
    )
    z, labels = moved(classifier)
    for c in range(3):
        wanted = GaussianMixture(
            1, covariance_type=covariance_type, reg_covar=1e-4
        ).fit(z[labels == c].numpy())
        np.testing.assert_allclose(
            classifier.means[c, 0], wanted.means_[0], atol=1e-4
        )
        np.testing.assert_allclose(
            classifier.covariances()[c, 0], wanted.covariances_[0], atol=1e-4
        )


def test_one_covariance_for_all_is_linear_discriminant_analysis():
    torch.manual_seed(0)
    classifier = GaussianClassifier(5, 3, 4, momentum=0, reg_covar=1e-6)
    z, labels = moved(classifier)
    wanted = LinearDiscriminantAnalysis('lsqr', store_covariance=True)
    wanted.fit(z.double().numpy(), labels.numpy())
    np.testing.assert_allclose(
        classifier.covariances(), wanted.covariance_, atol=1e-5
    )
    classifier.embedding = torch.nn.Identity()
    with torch.no_grad():
        logits = classifier(z[:200].T[None, :, :, None])
    np.testing.assert_allclose(
        logits.softmax(1)[0, :, :, 0].T,
        wanted.predict_proba(z[:200].double().numpy()),
        atol=1e-3,
    )


@pytest.mark.parametrize('covariance_type', ['tied', 'full'])
@pytest.mark.parametrize('mean, std', [(100, 0.3), (1000, 0.1)])
def test_variances_beside_large_means_stay_positive(
    covariance_type, mean, std
):
    options = dict(normalize=False, momentum=0, reg_covar=1e-6)
    classifier = GaussianClassifier(
        5, 3, 64, covariance_type=covariance_type, **options
    )
    classifier.seen = mean + std * noise(1, 64, 30, 30)
    classifier.observe(torch.zeros(1, 30, 30))
    assert classifier.whitening.isfinite().all()


@pytest.mark.parametrize('covariance_type', ['diag', 'tied', 'full'])
def test_pixels_that_are_not_finite_count_in_nothing(covariance_type):
    found = []
    for bad in (False, True):
        torch.manual_seed(0)
        classifier = GaussianClassifier(
            5, 3, 4, covariance_type=covariance_type
        )
        classifier.seen = noise(1, 4, 6, 6)
        labels = torch.ones(1, 6, 6)
        labels[:, 0] = 255
        if bad:
            classifier.seen[:, :, 0, :2] = torch.tensor([torch.inf, torch.nan])
            labels[:, 0] = 1
            classifier.seen[:, :, 0, 2:] = torch.nan
        classifier.observe(labels)
        found.append(classifier.whitening)
    assert torch.equal(*found)


def test_rows_are_what_logits_depend_on():
    torch.manual_seed(0)
    classifier = GaussianClassifier(5, 3, 6, momentum=0)
    classifier.seen = noise(1, 6, 40, 40) @ noise(40, 40)
    classifier.observe(torch.arange(1600).view(1, 40, 40) % 3)
    torch.nn.init.normal_(classifier.shift)
    classifier.requires_grad_(False)
    rows = classifier.weight
    unseen = torch.linalg.svd(rows - rows.mean(0)).Vh[2:]
    z = noise(50, 6)
    before, after = (
        classifier.log_prob(each)[..., 0] for each in (z, z + unseen.sum(0))
    )
    for c in (1, 2):
        torch.testing.assert_close(
            after[:, c] - after[:, 0],
            before[:, c] - before[:, 0],
            atol=1e-3,
            rtol=1e-3,
        )


def test_what_is_remembered_fades():
    classifier = GaussianClassifier(5, 3, 4, momentum=0.5)
    z, labels = moved(classifier)
    moved(classifier)
    number = (labels == 1).sum()
    # The pixel it began with counts a quarter, the first step a half.
    assert classifier.weights[1, 0] == pytest.approx(1.5 * number + 0.25)
    mean = z[labels == 1].mean(0)
    torch.testing.assert_close(classifier.means[1, 0], mean, atol=1e-3, rtol=0)


def test_pixels_are_shared_out_evenly():
    rng = torch.Generator().manual_seed(0)
    log_prob = torch.randn(3000, 4, generator=rng)
    log_prob[:, 0] += 2  # one component would take most
    shares = _even_shares(log_prob)
    torch.testing.assert_close(shares.sum(1), torch.ones(3000))
    assert shares.sum(0).min() > 0.8 * 3000 / 4


def test_void_and_other_labels_move_nothing():
    classifier = GaussianClassifier(5, 3, 4).train()
    before = copy.deepcopy(classifier.state_dict())
    classifier(noise(1, 5, 6, 6))
    labels = torch.full((1, 12, 12), 255)
    labels[:, :6] = 2
    classifier.observe(labels, ignore_index=2)
    for name in ('weights', 'sums', 'squares', 'whitening'):
        after = classifier.state_dict()[name]
        assert torch.equal(after, before[name])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision_changes_no_moment(dtype):
    found = []
    for enabled in (False, True):
        torch.manual_seed(0)
        classifier = GaussianClassifier(5, 3, 4)
        classifier(noise(1, 5, 6, 6))
        with torch.autocast('cpu', dtype, enabled=enabled):
            classifier.seen = noise(1, 4, 300, 300)
            classifier.observe(torch.ones(1, 300, 300))
        found.append(classifier.covariances())
        assert classifier.forward(noise(1, 5, 6, 6)).dtype == torch.float32
    assert torch.equal(*found)


def test_a_class_without_pixels_keeps_its_gaussian():
    classifier = GaussianClassifier(5, 3, 4, momentum=0)
    moved(classifier)
    before = classifier.means[2].clone()
    for _ in range(3):
        classifier(noise(1, 5, 6, 6))
        classifier.observe(torch.zeros(1, 6, 6))
    assert torch.equal(classifier.means[2], before)
    assert classifier(noise(1, 5, 6, 6)).isfinite().all()


def test_processes_share_what_they_see():
    """Two that see half of the images each, and one that sees all."""

    def whitening(share):
        torch.manual_seed(0)
        classifier = GaussianClassifier(5, 3, 4, momentum=0.5).train()
        feature, labels = noise(4, 5, 6, 6), torch.arange(4) % 3
        classifier(feature[share])
        classifier.observe(labels[share, None, None].expand(-1, 6, 6))
        return classifier.means, classifier.whitening

    halves = run_ranks(2, lambda: whitening(slice(get_rank(), None, 2)))
    for found, *both in zip(whitening(slice(None)), *halves):
        for each in both:
            torch.testing.assert_close(each, found)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(covariance_type='spherical'),
        dict(dim=0),
        dict(components=1.5),
        dict(momentum=1.0),
        dict(reg_covar=0),
    ],
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GaussianClassifier(5, 3, **wrong)
