"""What has changed of images: numbers against a loop, and the test of them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chi2

from benchmarks.decisions.image_looks import (
    LEAST_BEFORE,
    LIGHT,
    LOOK_NAMES,
    SMALLEST,
    STRUCTURE,
    cause,
    chance,
    looks_of,
)
from mmseg_ddu.core.image_statistics import ImageStatistics

FINE = slice(4, 7)


def photographs(number, channels=3, seed=0, size=64):
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(number, channels, 8, 8, generator=rng)
    smooth = F.interpolate(coarse, size, mode='bicubic')
    noise = torch.randn(number, channels, size, size, generator=rng)
    light = 1 + 0.1 * torch.randn(number, channels, 1, 1, generator=rng)
    return light * (smooth + 0.1 * noise)


def looks(images):
    statistics = ImageStatistics(images.shape[1])
    return (statistics(images) @ looks_of(images.shape[1])).double().numpy()


@pytest.mark.parametrize('channels', [1, 2, 3, 5])
def test_numbers_against_a_loop(channels):
    images = photographs(4, channels)
    for image, found in zip(images, looks(images), strict=True):
        numbers = ImageStatistics(channels)(image[None])[0].double().numpy()
        means, coarse, *details = numbers[: 6 * channels].reshape(6, channels)
        gaps = numbers[6 * channels :]
        expected = dict(
            brightness=means.mean(),
            cast=means[0] - means[-1],
            contrast=coarse.mean(),
            colour=gaps.mean() - coarse.mean() if channels > 1 else 0,
            details_1=details[0].mean() - details[3].mean(),
            details_2=details[1].mean() - details[3].mean(),
            details_4=details[2].mean() - details[3].mean(),
        )
        assert list(expected) == list(LOOK_NAMES)
        np.testing.assert_allclose(found, [*expected.values()], atol=1e-4)


def test_light_leaves_the_fine_structure_as_it_is():
    images = photographs(4)
    gains = torch.tensor([0.5, 1.0, 3.0]).view(3, 1, 1)
    before, after = looks(images), looks(gains * images + 2 * gains)
    np.testing.assert_allclose(after[:, FINE], before[:, FINE], atol=1e-3)
    assert (np.abs(after - before)[:, :3] > 0.2).all()


@pytest.mark.parametrize('size', [1, 3, 4])
def test_the_chance_is_chi_squared(size):
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(size, size)) + 2 * np.eye(size)
    before = rng.normal(size=(500, size)) @ mix
    now = rng.normal(size=(7, size)) @ mix + 0.3
    covariance = np.atleast_2d(np.cov(before.T)) + SMALLEST * np.eye(size)
    root = np.linalg.cholesky(covariance)
    gap = np.linalg.solve(root, now.mean(0) - before.mean(0))
    expected = chi2.sf((gap**2).sum() / (1 / 500 + 1 / 7), size)
    assert chance(before, now) == pytest.approx(expected, rel=1e-6)
    assert 1e-9 < expected < 1


def test_chances_are_uniform_where_nothing_has_changed():
    rng = np.random.default_rng(1)
    found = [
        chance(rng.normal(size=(300, 3)), rng.normal(size=(5, 3)))
        for _ in range(2000)
    ]
    levels = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(np.quantile(found, levels), levels, atol=0.04)


def test_a_number_that_never_varies_does_no_harm():
    rng = np.random.default_rng(0)
    before, now = rng.normal(size=(60, 3)), rng.normal(size=(5, 3))
    before[:, 1] = now[:, 1] = 0
    assert 0 < chance(before, now) <= 1


@pytest.mark.parametrize(
    'change, expected',
    [
        (lambda x: x + 0.3 * torch.randn_like(x), STRUCTURE),
        (lambda x: F.avg_pool2d(x, 5, 1, 2), STRUCTURE),
        # Both: what light alone cannot do is named.
        (lambda x: 0.3 * F.avg_pool2d(x, 5, 1, 2), STRUCTURE),
        (lambda x: 0.3 * x, LIGHT),
        (lambda x: x + torch.tensor([2.0, 0, -2]).view(3, 1, 1), LIGHT),
        (lambda x: x.mean(1, keepdim=True) + 0.1 * x, LIGHT),
        (lambda x: x, None),
    ],
)
def test_what_is_named(change, expected):
    torch.manual_seed(0)
    before = looks(photographs(200))
    now = looks(change(photographs(6, seed=1)))
    assert cause(before, now) == expected


def test_nothing_is_named_with_too_few_images():
    before = looks(photographs(LEAST_BEFORE))
    now = looks(0.3 * photographs(6, seed=1))
    assert cause(before, now) == LIGHT
    assert cause(before[1:], now) is None
    assert cause(before, now[:0]) is None
    with pytest.raises(ValueError, match='more than 7 images'):
        chance(before[:7], now)
