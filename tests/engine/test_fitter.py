"""The fitter: order, held-out images, components, several heads."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.map_sample import MapSample
from tests.engine.pixel_network import drawn_image, fit_all, pixel_network

IMAGES = {index: drawn_image(index) for index in range(8)}


def fit(images, held_out=(), model=None, **options):
    model = model or pixel_network()
    fitter = DensityFitter(model, held_out=held_out, **options)
    return model, fit_all(fitter, images)


def pixels(images):
    """(N, D) and (N,) labelled ones."""
    known = [image.labels.flatten() != 255 for image in images]
    values = [i.inputs[0].flatten(1).T[k] for i, k in zip(images, known)]
    labels = [i.labels.flatten()[k] for i, k in zip(images, known)]
    return torch.cat(values), torch.cat(labels)


@pytest.mark.parametrize('components', [1, 2])
def test_order_of_images_does_not_matter(components):
    options = dict(pixels_per_class=4, calibration_pixels=40, held_out=(2, 5))
    networks = [pixel_network(components=components) for _ in range(2)]
    orders = [IMAGES, dict(reversed(IMAGES.items()))]
    for model, order in zip(networks, orders):
        fit(order, model=model, **options)
    first, second = (model.state_dict() for model in networks)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], msg=name)


def test_held_out_images_calibrate_and_then_join():
    """Percentiles of densities that never saw the images; then all."""
    model, report = fit(IMAGES, held_out=(2, 5))
    others, _ = fit({i: IMAGES[i] for i in (0, 1, 3, 4, 6, 7)})
    everything, _ = fit(IMAGES)
    torch.testing.assert_close(
        model.gda_head.density.means, everything.gda_head.density.means
    )
    values, labels = pixels([IMAGES[2], IMAGES[5]])
    scores = -others.gda_head.density.score_samples(values)
    shares = model.percentile('epistemic', scores)
    below = (scores[:, None] > scores).double().mean(1)
    np.testing.assert_allclose(shares, below, atol=0.02)
    assert report['calibration']['pixels'] == len(scores) == 70
    assert report['calibration']['held_out'] is True
    wrong = model.decode_head.conv_seg(values[..., None, None])
    wrong = wrong.argmax(1).flatten() != labels
    got = report['calibration']['errors_AUROC']['epistemic']
    assert got == pytest.approx(100 * roc_auc_score(wrong, scores), abs=0.5)


@pytest.mark.parametrize(
    'test_cfg, stride',
    [
        (dict(mode='whole'), 1),
        (dict(mode='whole'), 2),
        (dict(mode='slide', crop_size=(20, 20), stride=(10, 10)), 2),
    ],
)
def test_percentiles_of_new_pixels_are_uniform(test_cfg, stride):
    """As predicted: interpolated, and averaged over windows."""
    images = {i: drawn_image(i, size=40) for i in range(16)}
    model = pixel_network(test_cfg=test_cfg, stride=stride)
    fit(images, held_out=range(0, 16, 2), model=model)
    for name in ('aleatoric', 'epistemic', 'total'):
        shares = []
        for index in range(100, 108):
            image = drawn_image(index, size=40)
            (sample,) = model.predict(image.inputs)
            field = sample.get(f'pred_{name}_percentile')
            shares.append(field.data.detach().flatten())
        shares = torch.cat(shares)
        assert (shares > 0.95).float().mean() == pytest.approx(0.05, abs=0.015)
        assert kstest(shares, 'uniform').statistic < 0.05, name


def test_components_are_found_per_class():
    """Two clusters of one class, far apart: one Gaussian for each."""
    images = {}
    for index in range(6):
        image = drawn_image(index, classes=1, size=12)
        image.inputs[:, :, :, :6] += 100
        images[index] = image
    model = pixel_network(classes=2, components=2, priors='empirical')
    fit(images, model=model)
    density = model.gda_head.density
    places = sorted((density.means + density.offset)[:2].mean(1).tolist())
    assert places[0] == pytest.approx(3, abs=0.5)
    assert places[1] == pytest.approx(103, abs=0.5)
    alone = pixel_network(classes=2, priors='empirical')
    fit(images, model=alone)
    between = torch.full((1, 3), 53.0)
    both = [m.gda_head.density.score_samples(between) for m in (model, alone)]
    assert both[0] < both[1] - 100


def test_seeds_choose_other_pixels_and_components():
    images = {i: drawn_image(i, size=12) for i in range(4)}
    found = []
    for seed in (0, 0, 1):
        model = pixel_network(components=2)
        fit(images, model=model, pixels_per_class=9, seed=seed)
        found.append(model.gda_head.density.means.clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_each_tap_is_fitted_on_its_own_grid():
    """A coarse tap sees each of its pixels once, with its label."""
    coarse = dict(tap='backbone[1]', transform='raw', shrinkage=0.0)
    model = pixel_network()
    model.extra_heads['coarse'] = model._build_head(coarse)
    _, report = fit(IMAGES, model=model, pixels_per_class=None)
    # Even ratios: the cell right below the centre.
    x = torch.cat(
        [
            torch.nn.functional.avg_pool2d(image.inputs, 2)[0].flatten(1).T
            for image in IMAGES.values()
        ]
    )
    y = torch.cat([i.labels[1::2, 1::2].flatten() for i in IMAGES.values()])
    density = model.heads['epistemic_coarse'].density
    for label in range(3):
        expected = x[y == label].double().mean(0)
        np.testing.assert_allclose(
            density.means[label] + density.offset, expected, atol=1e-5
        )
    assert [row['tap'] for row in report['heads']] == [
        'penultimate',
        'backbone[1]',
    ]
    (sample,) = model.predict(IMAGES[0].inputs)
    shares = sample.pred_epistemic_coarse_percentile.data
    assert shares.shape == (1, 6, 6)


def test_novelty_is_the_distance_from_the_training_images():
    images = {i: drawn_image(i, size=24) for i in range(40)}
    model, _ = fit(images)
    ordinary, dark = (
        model.predict(drawn_image(99, size=24, shift=shift).inputs)[0]
        for shift in (2.0, 12.0)
    )
    assert float(ordinary.image_novelty_percentile) < 0.99
    assert float(dark.image_novelty_percentile) > 0.99
    assert dark.image_novelty > 2 * ordinary.image_novelty


def test_a_class_that_is_absent_or_only_void():
    for components in (1, 2):
        model = pixel_network(classes=5, components=components)
        _, report = fit(IMAGES, model=model)
        assert report['heads'][0]['absent_classes'] == [3, 4]
        (sample,) = model.predict(IMAGES[0].inputs)
        assert sample.pred_epistemic.data.isfinite().all()
    for image in IMAGES.values():
        assert (image.labels == 255).sum() == 1
    void = {0: drawn_image(0)}
    void[0].labels.fill_(255)
    for components in (1, 2):
        model = pixel_network(components=components)
        with pytest.raises(ValueError, match='No labelled feature'):
            fit(void, model=model)
        assert not model.gda_head.fitted


def test_held_out_images_without_labels_are_held_out_no_longer(said):
    images = dict(IMAGES)
    images[3] = drawn_image(3)
    images[3].labels.fill_(255)
    _, report = fit(images, held_out=(3,))
    assert report['held_out_images'] == 0 < report['calibration']['pixels']
    assert report['calibration']['held_out'] is False
    (text,) = said
    assert 'None of the 1 held-out images has a labelled pixel' in text
    unseen = MapSample(pixel_network(), 9, 0)
    with pytest.raises(ValueError, match='no labelled pixel to calibrate'):
        unseen.calibrate(False)
    # The other way round there is nothing but the held-out ones.
    for index in images:
        if index != 4:
            images[index] = images[3]
    _, report = fit(images, held_out=(4,))
    assert report['calibration']['held_out'] is False


def test_lost_pixels_are_left_out_and_told():
    images = {i: drawn_image(i) for i in range(8)}
    images[2].inputs[0, 0, 3, 3] = torch.nan
    images[5].inputs[0, 0, 3, 3] = torch.inf
    model, report = fit(images, held_out=(2, 4))
    assert report['nonfinite_pixels'] == 2
    assert report['calibration']['nonfinite'] == 1
    assert report['calibration']['pixels'] == 69
    everything = [
        v for v in model.state_dict().values() if v.is_floating_point()
    ]
    assert all((v.isfinite() | (v == -torch.inf)).all() for v in everything)
