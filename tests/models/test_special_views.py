"""Entropy and style views, and how the head joins views."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.stats import entropy as scipy_entropy
from sklearn.covariance import ShrunkCovariance

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.presets import PREDICTED
from mmseg_ddu.models.special_views import (
    EntropyView,
    StyleView,
    build_view,
)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def entropies_of(logits):
    """(1, C, h, w) -> (h, w), by scipy in float64."""
    return scipy_entropy(logits[0].softmax(0).double().numpy(), axis=0)


def test_entropy_in_excess_of_a_class_floor():
    view = EntropyView(3, tap='logits', transform='entropy', channels=3)
    # Class 0: certain pixels and others. Class 1: all equally torn.
    torn = 0.69 + 0.01 * numbers(100).abs()
    mixed = torch.cat([torch.zeros(50), torch.full((50,), 0.6)])
    values = torch.cat([mixed, torn])[:, None].expand(-1, 2)
    classes = torch.arange(2).repeat_interleave(100)
    view.calibrate(values, classes)
    assert view.class_floor[0] == 0
    mean, deviation = torn.mean(), torn.std(unbiased=False)
    assert view.class_floor[1] == pytest.approx(
        float(mean - (2.5 * deviation) ** 4 / mean**3), rel=1e-5
    )
    scores = view.score(values, classes)
    assert scores[100:].abs().max() < 0.05 < scores[:100].max()
    torch.testing.assert_close(scores[:100], mixed)
    assert view.class_floor[2] == 0  # never predicted

    tiny = torch.full((50, 2), 1e-16) * torch.rand(50, 1)
    view.calibrate(tiny, torch.zeros(50, dtype=torch.int64))
    assert torch.isfinite(view.class_floor).all()
    assert view.score(tiny, torch.zeros(50, dtype=torch.int64)).max() < 1e-15


def test_entropy_in_windows_and_on_a_logarithmic_scale():
    view = EntropyView(
        3,
        tap='logits',
        transform='entropy',
        channels=3,
        window=3,
        log_scale=0.03,
    )
    logits = numbers(1, 3, 5, 7) * 3
    own = entropies_of(logits)
    sums = convolve(own, np.ones((3, 3)), mode='constant')
    counts = convolve(np.ones_like(own), np.ones((3, 3)), mode='constant')
    averaged = sums / counts  # a corner has four neighbours, not nine

    cells = torch.arange(35)
    sampled = view.sample(logits, cells)
    expected = np.stack([averaged.ravel(), own.ravel()], 1)
    np.testing.assert_allclose(sampled, expected, atol=1e-5)

    view.class_floor[1] = 0.4
    classes = logits.argmax(1)[0]
    beyond = averaged - np.where(classes == 1, 0.4, 0)
    expected = np.arcsinh(np.maximum(beyond, 0) / 0.03)
    got = view(logits, classes.flatten())
    assert got.shape == (1, 1, 5, 7)
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-4)
    np.testing.assert_allclose(
        view.score(sampled, classes.flatten()), expected.ravel(), atol=1e-4
    )


@pytest.mark.parametrize(
    'option', [dict(window=2), dict(window=0), dict(log_scale=0.0)]
)
def test_entropy_options_that_make_no_sense(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        EntropyView(3, tap='logits', transform='entropy', channels=3, **option)


@pytest.mark.parametrize(
    'name, shrinkage', [('style', 0.1), ('signal_to_noise', 0.01)]
)
def test_a_mahalanobis_distance_of_channel_statistics(name, shrinkage):
    view = StyleView(5, tap='backbone[0]', transform=name, channels=3)
    moments = view.new_moments('cpu')
    assert moments.num_classes == 1
    images = [
        numbers(1, 3, 6, 7, seed=i) * (1 + 0.1 * i) + i % 4 for i in range(30)
    ]
    for image in images:
        view.update(moments, image, torch.zeros(0), torch.zeros(0))
    view.fit_moments(moments, torch.zeros(5))

    def statistics(image):
        flat = image[0].flatten(1).double().numpy()
        mean, std = flat.mean(1), flat.std(1) + 1e-3
        return np.r_[mean, np.log(std)] if name == 'style' else mean / std

    table = np.stack([statistics(image) for image in images])
    model = ShrunkCovariance(shrinkage=shrinkage).fit(table)
    # Ours divides by n - 1 and adds a millionth of the mean variance.
    scale = len(table) / (len(table) - 1)
    other = numbers(1, 3, 6, 7, seed=99) * 5 - 20
    for image in [*images[:3], other]:
        expected = np.sqrt(model.mahalanobis(statistics(image)[None]) / scale)
        got = view(image)
        assert got.shape == (1, 1, 1, 1)
        assert got.item() == pytest.approx(expected.item(), rel=1e-3)
    assert view(other) > max(view(image).item() for image in images)


def fitted_head():
    head = GDAHead(
        3,
        channels=4,
        views=[
            dict(
                tap='penultimate',
                transform='direction',
                standardize=True,
                weight=0.0,
                region_weight=0.6,
                stride=2,
            ),
            dict(
                tap='logits',
                transform='entropy',
                region_weight=1.0,
                log_scale=0.1,
            ),
            dict(
                tap='backbone[0]',
                transform='style',
                channels=2,
                weight=0.75,
                excess=0.8,
            ),
        ],
    )
    fitter = DensityFitter(head, held_out=range(0, 24, 3))
    for index in range(24):
        features, labels = example(index)
        fitter.update(features, labels, index)
    report = fitter.finalize()
    return head, report


def example(seed, offset=0.0, size=8):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (size, size), generator=generator)
    feature = torch.randn(1, 4, size, size, generator=generator)
    feature[0, :3] += 4 * torch.nn.functional.one_hot(labels).movedim(2, 0)
    logits = feature[:, :3] * 2
    style = torch.randn(1, 2, size, size, generator=generator) + offset
    style = style + 0.3 * torch.randn(1, 2, 1, 1, generator=generator)
    features = {
        'penultimate': feature,
        'logits': logits,
        'backbone[0]': style,
        PREDICTED: logits.argmax(1, keepdim=True),
    }
    return features, labels


def test_scores_of_pixel_region_and_image_are_joined():
    head, report = fitted_head()
    assert head.unit == 'standard deviations'
    assert [view['tap'] for view in report['views']] == head.taps
    features, _ = example(100)
    got = head(features)[0, 0]

    classes = features[PREDICTED][0, 0]
    direction, entropy, style = head.views
    z = []
    for index, view in enumerate(head.views):
        cells = torch.arange(64)
        feature = features[view.tap]
        vectors = view.sample(feature, cells)
        score = view.score(vectors, classes.flatten()).reshape(8, 8)
        z.append((score - head.view_mean[index]) / head.view_std[index])
    # The region sees every second pixel, resized to the full grid.
    rare = torch.nn.functional.interpolate(
        z[0][None, None, 1::2, 1::2], (8, 8), mode='bilinear'
    )[0, 0]
    combined = 0.6 * rare + z[1]
    expected = z[1] + 0.75 * (z[2] - head.view_threshold[2]).clamp_min(0)
    for label in range(3):
        where = classes == label
        expected[where] += combined[where].mean()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_only_unusual_images_get_an_image_term():
    head, _ = fitted_head()
    usual, unusual = head(example(100)[0]), head(example(100, 9.0)[0])
    assert (unusual - usual).min() > 3
    flat = (unusual - usual).flatten()
    torch.testing.assert_close(flat, flat[:1].expand(64), rtol=1e-4, atol=1e-3)


def test_a_batch_is_its_images():
    head, _ = fitted_head()
    one, other = example(100)[0], example(101)[0]
    both = {key: torch.cat([one[key], other[key]]) for key in one}
    torch.testing.assert_close(
        head(both), torch.cat([head(one), head(other)]), rtol=1e-5, atol=1e-5
    )


def test_percentiles_are_uniform_on_held_out_pixels():
    head, report = fitted_head()
    assert report['calibration']['held_out']
    fresh = [head(example(seed)[0]).flatten() for seed in range(200, 260)]
    share = (head.percentile(torch.cat(fresh)) > 0.95).float().mean()
    assert 0.01 < share < 0.12


def test_options():
    with pytest.raises(ValueError, match='Expected transform'):
        build_view(3, transform='square', channels=2)
    with pytest.raises(ValueError, match='with a density'):
        GDAHead(3, views=[dict(tap='logits', transform='entropy')])
    with pytest.raises(ValueError, match='weight'):
        GDAHead(3, channels=4, views=[dict(weight=0.0)])
    head = GDAHead(3, channels=4)  # image terms need the network's channels
    assert head.taps == ['penultimate', 'logits']
