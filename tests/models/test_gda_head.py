"""The density head: presets, combination, state."""

import numpy as np
import pytest
import torch

from mmseg_ddu.core import GaussianDiscriminant, NotFittedError
from mmseg_ddu.models import GDAHead


def features(channels=6, n=2, size=9):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, size, size, generator=rng) + 3


def fit(head, tensors, classes=3):
    """Fit each view on the pixels of its tap; labels by position."""
    vectors = [view.vectors(tensors[view.tap]) for view in head.views]
    labels = torch.arange(len(vectors[0])) % classes
    for view, vector in zip(head.views, vectors):
        view.density.fit(vector, labels)
    head.calibrate(vectors)
    head.fitted.fill_(True)
    return labels


def test_paper_preset_is_minus_log_density_in_nats():
    head = GDAHead(3, views='ddu-paper', channels=6)
    z = features()
    labels = fit(head, dict(penultimate=z))
    flat = z.permute(0, 2, 3, 1).reshape(-1, 6)
    density = GaussianDiscriminant(3, 6)
    density.fit(flat, labels)
    expected = -density.score_samples(flat).reshape(2, 1, 9, 9)
    np.testing.assert_allclose(head(dict(penultimate=z)), expected, rtol=1e-5)
    assert head.unit == 'nats'


def test_location_independent():
    """The same feature gets the same score everywhere."""
    head = GDAHead(3, views='ddu-paper', channels=6)
    z = features()
    fit(head, dict(penultimate=z))
    rolled = torch.roll(z, (2, 5), (2, 3))
    expected = torch.roll(head(dict(penultimate=z)), (2, 5), (2, 3))
    torch.testing.assert_close(head(dict(penultimate=rolled)), expected)


def test_direction_ignores_length():
    z = features()
    head = GDAHead(3, views='direction', channels=6)
    fit(head, dict(penultimate=z))
    scores = head(dict(penultimate=z))
    torch.testing.assert_close(
        head(dict(penultimate=7 * z)), scores, rtol=1e-3, atol=1e-3
    )
    assert GDAHead(3, normalize=True, channels=6).views[0].transform == (
        'direction'
    )


def test_polar_is_the_standardised_sum_and_sees_length_both_ways():
    z = features()
    head = GDAHead(3, views='polar', channels=6)
    fit(head, dict(penultimate=z))
    scores = head(dict(penultimate=z))
    parts = [view(z) for view in head.views]
    expected = sum((p - p.mean()) / p.std(unbiased=False) for p in parts)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    for scale in (0.05, 20):
        assert (head(dict(penultimate=scale * z)) > scores).all()
    assert head.unit == 'standard deviations'


def test_standardised_by_predicted_class_takes_the_heights_out():
    """Against a loop over classes; a tight class is no longer favoured."""
    z = features(size=30)
    predicted = (torch.arange(1800) % 3).reshape(2, 1, 30, 30)
    spread = torch.tensor([1.0, 5.0, 0.2])[predicted]
    z = (z - 3) * spread + 3
    view = dict(tap='penultimate', standardize=True)
    head = GDAHead(3, views=[view], channels=6)
    flat = z.permute(0, 2, 3, 1).reshape(-1, 6)
    labels = predicted.flatten()
    density = head.views[0].density
    density.fit(flat, labels)
    head.calibrate([flat], labels)
    head.fitted.fill_(True)
    got = head(dict(penultimate=z, predicted=predicted)).flatten()
    for label in range(3):
        chosen = flat[labels == label]
        score = -torch.distributions.MultivariateNormal(
            density.means[label].double() + density.offset,
            chosen.double().T.cov() + 1e-6 * torch.eye(6),
        ).log_prob(chosen.double())
        expected = (score - score.mean()) / score.std(unbiased=False)
        np.testing.assert_allclose(got[labels == label], expected, atol=2e-3)
    paper = -density.score_samples(flat)
    assert paper[labels == 2].median() < paper[labels == 1].min()
    assert head.unit == 'standard deviations'


def test_percentile_of_the_training_pixels_is_uniform():
    head = GDAHead(3, views='ddu-paper', channels=6)
    z = features(size=40)
    fit(head, dict(penultimate=z))
    shares = head.percentile(head(dict(penultimate=z))).flatten()
    for level in (0.1, 0.5, 0.95):
        assert (shares < level).float().mean() == pytest.approx(
            level, abs=0.01
        )
    far = head(dict(penultimate=z + 1000))
    assert (head.percentile(far) == 1).all()


@pytest.mark.parametrize('transform', ['raw', 'direction', 'log_norm'])
@pytest.mark.parametrize('standardize', [False, True])
def test_each_tap_is_scored_on_its_own_grid(transform, standardize):
    """Against the same by hand: transform, score, resize the score."""
    view = dict(transform=transform, standardize=standardize)
    views = [
        dict(tap='penultimate', **view),
        dict(tap='backbone.layer3', channels=4, **view),
    ]
    head = GDAHead(3, views=views, channels=6)
    tensors = {
        'penultimate': features(6, size=12),
        'backbone.layer3': features(4, size=3),
    }
    predicted = (torch.arange(288) // 48 % 3).reshape(2, 1, 12, 12)
    # The centre of a coarse cell is the corner of four: the third counts.
    classes = {12: predicted, 3: predicted[..., 2::4, 2::4]}
    expected = 0
    for index, (view, z) in enumerate(zip(head.views, tensors.values())):
        vectors = view.vectors(z)
        labels = classes[z.shape[-1]].flatten()
        view.density.fit(vectors, labels)
        view.calibrate(vectors, labels)
        head.view_mean[index], head.view_std[index] = index + 1, index + 2
        score = view.score(vectors, labels).reshape(2, 1, *z.shape[2:])
        score = torch.nn.functional.interpolate(
            score, (12, 12), mode='bilinear'
        )
        expected = expected + (score - index - 1) / (index + 2)
    head.fitted.fill_(True)
    torch.testing.assert_close(
        head(dict(tensors, predicted=predicted)),
        expected,
        rtol=1e-3,
        atol=1e-3,
    )
    assert head.taps == ['penultimate', 'backbone.layer3']


def test_state_round_trip():
    z = features()
    head = GDAHead(3, views='polar', channels=6)
    fit(head, dict(penultimate=z))
    other = GDAHead(3, views='polar', channels=6)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(dict(penultimate=z)), head(dict(penultimate=z)))
    assert torch.equal(other.score_quantiles, head.score_quantiles)


@pytest.mark.parametrize(
    'other',
    [
        dict(channels=7),
        dict(num_classes=4),
        dict(rank=2),
        dict(views='polar'),
        dict(covariance_type='tied'),
    ],
)
def test_another_shape_is_refused_even_if_not_strict(other):
    state = GDAHead(3, views='ddu-paper', channels=6).state_dict()
    head = GDAHead(
        **{**dict(num_classes=3, views='ddu-paper', channels=6), **other}
    )
    with pytest.raises(ValueError, match='fitted for another'):
        head.load_state_dict(state, strict=False)


def test_no_state_at_all_leaves_the_head_unfitted():
    head = GDAHead(3, views='ddu-paper', channels=6)
    head.load_state_dict({}, strict=False)
    with pytest.raises(NotFittedError, match='fit_gda.py'):
        head(dict(penultimate=features()))


def test_bad_options():
    with pytest.raises(ValueError, match='views'):
        GDAHead(3, views='vmf', channels=6)
    with pytest.raises(ValueError, match='at least one view'):
        GDAHead(3, views=[], channels=6)
    with pytest.raises(ValueError, match='transform'):
        GDAHead(3, views=[dict(transform='square')], channels=6)
    with pytest.raises(ValueError, match='set channels'):
        GDAHead(3, views=[dict(tap='backbone.layer3')], channels=6)
    head = GDAHead(3, views='ddu-paper', channels=6)
    fit(head, dict(penultimate=features()))
    with pytest.raises(ValueError, match='another network'):
        head(dict(penultimate=features(7)))
