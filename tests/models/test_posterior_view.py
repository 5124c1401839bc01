"""The second opinion of an early feature."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mmseg_ddu.core import GaussianDiscriminant
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.posterior_view import PosteriorView
from mmseg_ddu.models.presets import PREDICTED

TAP = 'backbone[2]'
CHANNELS = 6


def example(seed, classes=3, size=8, missing=None):
    """Features whose classes overlap, and labels; 'missing' is unused."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (size, size), generator=generator)
    if missing is not None:
        labels[labels == missing] = (missing + 1) % classes
    feature = torch.randn(1, CHANNELS, size, size, generator=generator)
    one_hot = torch.nn.functional.one_hot(labels, classes).movedim(2, 0)
    feature[0, :classes] += 2.0 * one_hot
    feature[0] += 0.5 * feature[0].roll(1, 0) + 300  # correlated, far off
    return feature, labels


def fitted_view(images, classes=3, **options):
    view = PosteriorView(
        classes, tap=TAP, transform='posterior', channels=CHANNELS, **options
    )
    moments = view.new_moments('cpu')
    for feature, labels in images:
        where = torch.arange(labels.numel())
        view.update(moments, feature, where, labels.flatten())
    counts = sum(
        torch.bincount(labels.flatten(), minlength=classes)
        for _, labels in images
    )
    view.fit_moments(moments, counts)
    return view


def table(images):
    rows = [feature[0].flatten(1).T for feature, _ in images]
    return torch.cat(rows).double().numpy(), torch.cat(
        [labels.flatten() for _, labels in images]
    ).numpy()


def test_entropy_of_linear_discriminant_analysis():
    images = [example(seed) for seed in range(30)]
    view = fitted_view(images, reg_covar=1e-12)
    reference = LinearDiscriminantAnalysis(solver='lsqr').fit(*table(images))
    feature, _ = example(99)
    x, _ = table([example(99)])
    posterior = reference.predict_proba(x)
    got = view.density.log_posterior(torch.from_numpy(x).float()).exp()
    np.testing.assert_allclose(got, posterior, atol=2e-3)
    predicted = torch.from_numpy(posterior.argmax(1))
    scores = view(feature, predicted)
    assert scores.shape == (1, 1, 8, 8)
    expected = scipy_entropy(posterior, axis=1).reshape(8, 8)
    np.testing.assert_allclose(scores[0, 0], expected, atol=4e-3)
    assert expected.max() > 0.8 and expected.min() < 0.05


def test_class_covariances_have_no_linear_rule():
    density = GaussianDiscriminant(2, 3)
    density.fit(torch.randn(40, 3), torch.arange(40) % 2)
    with pytest.raises(ValueError, match='tied'):
        density.log_posterior(torch.randn(5, 3))


def test_aleatoric_doubt_does_not_count():
    images = [example(seed) for seed in range(10)]
    view = fitted_view(images)
    feature, _ = example(99)
    predicted = torch.arange(64) % 3
    whole = view(feature, predicted).flatten()
    bit = np.log(2)
    view.discount(torch.tensor([0, 0.75, 1.1]) * bit)
    left = view(feature, predicted).flatten()
    torch.testing.assert_close(left[0::3], whole[0::3])
    torch.testing.assert_close(left[1::3], whole[1::3] / 4)
    assert (left[2::3] == 0).all()


def test_a_class_that_was_never_seen_has_no_part():
    images = [example(seed, missing=1) for seed in range(10)]
    view = fitted_view(images)
    x, _ = table(images)
    posterior = view.density.log_posterior(torch.from_numpy(x).float()).exp()
    assert (posterior[:, 1] == 0).all()
    torch.testing.assert_close(posterior.sum(1), torch.ones(len(x)))
    scores = view(images[0][0], images[0][1].flatten())
    assert torch.isfinite(scores).all() and scores.max() < np.log(2) + 1e-5


def fitted_head(pixels_per_class, twins=False):
    head = GDAHead(
        3,
        channels=3,
        views=[
            dict(covariance_type='diag', weight=0.0),
            dict(tap='logits', transform='entropy'),
            dict(tap=TAP, transform='posterior', channels=CHANNELS),
        ],
    )
    fitter = DensityFitter(
        head, held_out=range(0, 20, 4), pixels_per_class=pixels_per_class
    )
    for index in range(20):
        feature, labels = example(index, size=24)
        logits = 8.0 * torch.nn.functional.one_hot(labels, 3)
        if twins:  # the classifier is always torn between 1 and 2
            logits[..., 1:] = logits[..., 1:].amax(-1, keepdim=True)
        logits = logits.movedim(2, 0)[None] + 0.01 * feature[:, :3]
        features = {
            'penultimate': feature[:, :3],
            'logits': logits,
            TAP: feature,
            PREDICTED: logits.argmax(1, keepdim=True),
        }
        fitter.update(features, labels, index)
    return head, fitter.finalize()


@pytest.mark.parametrize('budget, taken', [(None, 64), (512, 64), (10, 10)])
def test_few_pixels_of_an_image_are_enough(budget, taken):
    head, report = fitted_head(budget)
    counts = head.views[2].density.class_count
    # The priors are those of all pixels, the moments those of some.
    assert counts.tolist() == report['pixels_per_class']
    assert head.views[2].pixels_per_class == 64
    fitter = DensityFitter(head, pixels_per_class=budget)
    feature, labels = example(0, size=24)
    features = {
        'penultimate': feature[:, :3],
        'logits': feature[:, :3],
        TAP: feature,
        PREDICTED: labels[None, None],
    }
    fitter.update(features, labels, 0)
    moments = fitter.collected.moments
    assert moments[2].counts.tolist() == [taken] * 3
    expected = labels.flatten().bincount() if budget != 10 else [10] * 3
    assert moments[0].counts.tolist() == list(expected)


def test_the_entropy_view_says_what_is_aleatoric():
    head, _ = fitted_head(64, twins=True)
    weights = head.views[2].class_weight
    assert weights[0] > 0.9 and weights[1:].min() < 0.1
    head, _ = fitted_head(64)
    assert (head.views[2].class_weight > 0.9).all()
