"""NaN and infinity in features and logits, from the fit to the map."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseg_ddu.core import PosteriorMean
from mmseg_ddu.core.bounds import WORST, is_lost
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.dense import DenseScorer
from mmseg_ddu.models.maps import entropy_map
from mmseg_ddu.models.presets import PREDICTED
from mmseg_ddu.models.sampled import SampledMapsMixin
from mmseg_ddu.models.views import spread

STYLE = dict(
    tap='backbone[0]', transform='style', channels=2, weight=0.5, excess=0.8
)
ENTROPY = dict(tap='logits', transform='entropy', region_weight=1.0)
WINDOW = dict(ENTROPY, window=3, log_scale=1e-3)
HEADS = dict(
    paper='ddu-paper',
    polar='polar',
    class_polar='class-polar',
    rank=[dict(rank=2)],
    entropy=[dict(covariance_type='diag'), ENTROPY],
    window=[dict(covariance_type='diag'), WINDOW],
    style=[dict(), STYLE],
    signal=[dict(), dict(STYLE, transform='signal_to_noise')],
    posterior=[dict(), ENTROPY, dict(STYLE, transform='posterior')],
    regions=[
        dict(
            transform='direction',
            covariance_type='tied',
            standardize=True,
            weight=0.0,
            region_weight=0.6,
            stride=2,
        ),
        ENTROPY,
        STYLE,
    ],
)
ODD = [torch.nan, torch.inf, -torch.inf]


def image(seed, size=8):
    """Features of all taps, and labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (size, size), generator=rng)
    feature = torch.randn(1, 4, size, size, generator=rng)
    feature[0, :3] += 4 * torch.nn.functional.one_hot(labels).movedim(2, 0)
    logits = 2 * feature[:, :3]
    style = torch.randn(1, 2, size, size, generator=rng)
    style = style + 0.3 * torch.randn(1, 2, 1, 1, generator=rng)
    features = {
        'penultimate': feature,
        'logits': logits,
        'backbone[0]': style,
        PREDICTED: logits.argmax(1, keepdim=True),
    }
    return features, labels


def spoil(features, value, row=3, column=5):
    """One pixel of every tap."""
    spoilt = {key: tensor.clone() for key, tensor in features.items()}
    for key, tensor in spoilt.items():
        if key != PREDICTED:
            tensor[0, 1, row, column] = value
    return spoilt


def fitted(views, change=lambda index, features: features, void=()):
    head = GDAHead(3, views=views, channels=4)
    fitter = DensityFitter(head, held_out=range(0, 24, 3), temperature=True)
    for index in range(24):
        features, labels = image(index)
        if index in void:
            labels[3, 5] = 255
        fitter.update(change(index, features), labels, index)
    return head, fitter.finalize()


@pytest.mark.parametrize('name', HEADS)
def test_fit_leaves_nonfinite_pixels_out(name):
    """As if they were void; in images that fit and that calibrate."""
    spoilt = (3, 4, 9, 10)

    def change(index, features):
        value = ODD[index % 3]
        return spoil(features, value) if index in spoilt else features

    # Style sees an image as a whole: of the taps it has one pixel less.
    def same_style(index, features):
        if index in spoilt:
            bad = spoil(features, torch.nan)
            features = {**features, 'backbone[0]': bad['backbone[0]']}
        return features

    head, report = fitted(HEADS[name], change)
    clean, expected = fitted(HEADS[name], same_style, void=spoilt)
    # Void pixels enter means over windows, lost ones do not.
    close = dict(rtol=1e-4, atol=1e-5)
    if name == 'window':
        close = dict(rtol=0.05, atol=0.1)
    if name == 'posterior':  # void pixels are not in the priors
        close = dict(rtol=0.02, atol=1e-3)
    for key, value in clean.state_dict().items():
        if not key.endswith('class_count'):
            torch.testing.assert_close(head.state_dict()[key], value, **close)
    assert report['nonfinite_pixels'] == 4
    assert report['calibration']['nonfinite'] == 2
    assert report['calibration']['pixels'] == expected['calibration']['pixels']
    for view in report['views']:
        if view['transform'] in ('raw', 'direction', 'log_norm', 'posterior'):
            assert view['nonfinite'] == 4
    assert expected['nonfinite_pixels'] == 0
    assert np.isfinite(report['calibration']['temperature'])


def test_a_whole_image_and_a_whole_class_may_be_nonfinite():
    def change(index, features):
        features = {k: v.clone() for k, v in features.items()}
        if index in (5, 6):
            for key in ('penultimate', 'logits', 'backbone[0]'):
                features[key].fill_(torch.nan)
        gone = (image(index)[1] == 2).expand_as(features['penultimate'])
        features['penultimate'][gone] = torch.inf
        return features

    head, report = fitted(HEADS['regions'], change)
    assert report['views'][0]['absent_classes'] == [2]
    assert report['views'][2]['nonfinite'] == 2  # images
    known = sum((image(i)[1] != 2).sum() for i in range(24) if i not in (5, 6))
    assert sum(report['vectors_per_class']) == known
    assert head(image(50)[0]).isfinite().all()


def test_nothing_finite_is_an_error():
    def change(index, features):
        return {k: v + torch.nan for k, v in features.items()}

    with pytest.raises(ValueError, match='labelled features hold NaN'):
        fitted('ddu-paper', change)

    def held_out(index, features):
        return change(index, features) if index % 3 == 0 else features

    with pytest.raises(ValueError, match='calibration pixels have NaN'):
        fitted('ddu-paper', held_out)


@pytest.mark.parametrize('value', ODD)
@pytest.mark.parametrize('name', HEADS)
def test_a_lost_pixel_is_most_uncertain_and_stays_alone(name, value):
    head, _ = fitted(HEADS[name])
    features, other = image(100)[0], image(101)[0]
    batch = {
        key: torch.cat([tensor, other[key]])
        for key, tensor in spoil(features, value).items()
    }
    got, expected = head(batch), head(features)[0, 0]
    assert got.isfinite().all()
    torch.testing.assert_close(got[1:], head(other))
    got = got[0, 0]
    lost = is_lost(got)
    # Those around it share a cell of the view that sees every second pixel.
    reach = lost.nonzero() - torch.tensor([3, 5])
    assert lost[3, 5] and reach.abs().max() <= (name == 'regions')
    assert (head.percentile(got)[lost] == 1).all()
    # One pixel less in the means over regions, windows and the image.
    close = dict(rtol=1e-5, atol=1e-4)
    if name in ('entropy', 'style', 'posterior', 'regions'):
        close = dict(rtol=0, atol=0.2)
    if name == 'window':
        close = dict(rtol=0, atol=2)
    torch.testing.assert_close(got[~lost], expected[~lost], **close)


@pytest.mark.parametrize('name', HEADS)
def test_a_pixel_of_absurd_length_has_a_score(name):
    head, _ = fitted(HEADS[name])
    features, _ = image(100)
    expected = head(features)[0, 0]
    features['penultimate'][0, 1, 3, 5] = 3e38
    got = head(features)[0, 0]
    assert got.isfinite().all()
    if name in ('regions', 'window'):  # others notice
        return
    assert got[3, 5] > expected[3, 5]
    got[3, 5] = expected[3, 5]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=5e-3)


@pytest.mark.parametrize('name', HEADS)
def test_the_graph_loses_the_same_pixels(name):
    head, _ = fitted(HEADS[name])
    features, _ = image(100)
    spoilt = spoil(features, torch.nan)
    spoilt['backbone[0]'] = features['backbone[0]']
    expected, got = head(spoilt), DenseScorer(head)(spoilt)
    assert torch.equal(is_lost(got), is_lost(expected))
    assert is_lost(got).any()
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_rounding_is_no_spread():
    """Scores of one image's style, equal but for the last digit."""
    scores = torch.full((500,), 9.1)
    assert spread(scores) == 1
    scores[::3] = torch.nextafter(scores[0], torch.tensor(10.0))
    assert spread(scores) == 1
    scores[::3] += 1e-3
    assert spread(scores) == pytest.approx(4.7e-4, rel=0.02)


def test_the_style_of_a_dead_channel_loses_the_image():
    head, _ = fitted(HEADS['style'])
    features, _ = image(100)
    features['backbone[0]'][0, 1] = torch.nan
    assert is_lost(head(features)).all()


def test_entropy_of_nonfinite_logits_is_the_highest():
    logits = torch.randn(5, 3, 4)
    expected = entropy_map(logits)
    logits[2, 1, 1], logits[0, 2, 3] = torch.nan, torch.inf
    got = entropy_map(logits)
    assert got[0, [1, 2], [1, 3]].tolist() == pytest.approx([np.log(5)] * 2)
    got[0, [1, 2], [1, 3]] = expected[0, [1, 2], [1, 3]]
    assert torch.equal(got, expected)
    assert entropy_map(torch.full((1, 2, 2), torch.nan)).eq(np.log(2)).any()


def test_a_member_without_a_number_leaves_most_to_know():
    mean, clean = PosteriorMean(), PosteriorMean()
    for seed in range(3):
        logits = 2 * image(seed)[0]['logits']
        clean.update(logits)
        logits[0, 1, 3, 5] = torch.nan if seed == 1 else 0
        mean.update(logits)
    fields, expected = (
        SampledMapsMixin.split_maps(
            SimpleNamespace(predictive_entropy=False),
            part.log_mean()[0],
            part.mutual_information()[0],
        )
        for part in (mean, clean)
    )
    for key, value in fields.items():
        most = np.log(3) if key == 'pred_epistemic' else 0
        assert value[0, 3, 5] == pytest.approx(most, abs=1e-6)
        value[0, 3, 5] = expected[key][0, 3, 5]
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_features_up_to_their_largest(dtype):
    head, _ = fitted(HEADS['regions'])
    features, _ = image(100)
    largest = min(torch.finfo(dtype).max, 3e38)
    features['penultimate'][0, :, 2, 2] = largest
    halves = {
        key: value if key == PREDICTED else value.to(dtype)
        for key, value in features.items()
    }
    got = head(halves)
    assert got.isfinite().all() and got.dtype == torch.float32
    singles = {
        key: value if key == PREDICTED else value.float()
        for key, value in halves.items()
    }
    torch.testing.assert_close(got, head(singles), rtol=1e-2, atol=1e-2)
    assert got.abs().max() < WORST
