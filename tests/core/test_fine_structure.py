"""Fine structure of images against a loop, and the test of its change."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chi2

from mmseg_ddu.core.fine_structure import (
    LEAST_BEFORE,
    SMALLEST,
    chance,
    fine_structure,
    has_changed,
    is_whole,
)
from mmseg_ddu.core.image_statistics import ImageStatistics


def photographs(number, channels=3, seed=0, size=64):
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(number, channels, 8, 8, generator=rng)
    smooth = F.interpolate(coarse, size, mode='bicubic')
    noise = torch.randn(number, channels, size, size, generator=rng)
    light = 1 + 0.1 * torch.randn(number, channels, 1, 1, generator=rng)
    return light * (smooth + 0.1 * noise)


def fine(images):
    return fine_structure(ImageStatistics(images.shape[1])(images).numpy())


@pytest.mark.parametrize('channels', [1, 2, 3, 5])
def test_numbers_against_a_loop(channels):
    images = photographs(4, channels)
    for image, found in zip(images, fine(images), strict=True):
        logs, rest = [], image.double()
        for period in (4, 2, 4, 2):  # details of 1, 2, 4 and 8 pixels
            means = F.avg_pool2d(rest[None], 2)[0]
            twice = means.repeat_interleave(2, 1).repeat_interleave(2, 2)
            details, rest = rest - twice, means
            places = [
                details[:, y::period, x::period]
                .flatten(1)
                .var(1, correction=0)
                for y in range(period)
                for x in range(period)
            ]
            logs.append(torch.stack(places).mean(0).log().mean())
        expected = torch.stack(logs[:3]) - logs[3]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_light_leaves_it_as_it_is():
    images = photographs(4)
    gains = torch.tensor([0.5, 1.0, 3.0]).view(3, 1, 1)
    before, after = fine(images), fine(gains * images + 2 * gains)
    np.testing.assert_allclose(after, before, atol=1e-3)


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
        (lambda x: x + 0.3 * torch.randn_like(x), True),
        (lambda x: F.avg_pool2d(x, 5, 1, 2), True),
        # Both: what light alone cannot do is named.
        (lambda x: 0.3 * F.avg_pool2d(x, 5, 1, 2), True),
        (lambda x: 0.3 * x, False),
        (lambda x: x + torch.tensor([2.0, 0, -2]).view(3, 1, 1), False),
        (lambda x: x.mean(1, keepdim=True) + 0.1 * x, False),
    ],
)
def test_what_has_changed(change, expected):
    torch.manual_seed(0)
    before = fine(photographs(200))
    assert (
        has_changed(before, fine(change(photographs(6, seed=1)))) == expected
    )


def test_nobody_can_say_with_too_few_images():
    before = fine(photographs(LEAST_BEFORE))
    now = fine(0.3 * photographs(6, seed=1))
    assert has_changed(before, now) is False
    assert has_changed(before[1:], now) is None
    assert has_changed(before, now[:0]) is None
    with pytest.raises(ValueError, match='more than 3 images'):
        chance(before[:3], now)


def test_how_many_statistics_an_image_can_have():
    sizes = {ImageStatistics(channels).size for channels in range(1, 9)}
    assert {n for n in range(-1, max(sizes) + 1) if is_whole(n)} == sizes
