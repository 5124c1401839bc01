"""On maps whose bounds are known."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core.distances import (
    band_noise,
    band_shares,
    distance_ratio,
    flattest_direction,
    radial_bands,
)

BANDS = 8


@pytest.fixture
def image():
    return torch.rand(1, 2, 24, 24, generator=torch.Generator().manual_seed(0))


def near_identity(x):
    """x + 0.4 W x with a W that is orthogonal: ratios in [0.6, 1.4]."""
    return x + 0.4 * torch.roll(x, (3, 5), (2, 3)).flip(1)


def pooled(x):
    return F.avg_pool2d(x, 4, stride=4)


def test_ratios_of_a_map_that_nearly_keeps_distances(image):
    other = image.flip(3)
    assert 0.6 <= distance_ratio(near_identity, image, other) <= 1.4
    for band in range(BANDS):
        moved = image + 1e-2 * band_noise(image, band, BANDS, seed=band)
        assert 0.59 <= distance_ratio(near_identity, image, moved) <= 1.41
    _, smallest = flattest_direction(near_identity, image, steps=4, solving=25)
    assert 0.6 - 1e-4 <= smallest < 0.75


def test_the_smallest_singular_value_is_found(image):
    matrix = torch.linalg.qr(
        torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    ).Q * torch.linspace(0.2, 3, 64)
    small = image[:, :1, :8, :8]

    def f(x):
        return x.reshape(1, -1) @ matrix.T

    direction, smallest = flattest_direction(f, small, steps=8, solving=64)
    wanted = torch.linalg.svd(matrix)
    assert smallest == pytest.approx(float(wanted.S[-1]), rel=1e-2)
    assert abs(direction.flatten() @ wanted.Vh[-1]) > 0.99


def test_a_strided_pooling_has_a_direction_that_it_cannot_see(image):
    direction, smallest = flattest_direction(pooled, image, steps=3)
    assert smallest < 1e-3
    # Nothing is lost below the cut-off, a quarter of what there is.
    assert band_shares(direction, BANDS)[0] < 0.01
    assert float(direction.norm()) == pytest.approx(1, rel=1e-4)
    low = image + band_noise(image, 0, BANDS, seed=0)
    high = image + band_noise(image, 7, BANDS, seed=0)
    assert distance_ratio(pooled, image, low) > 5 * distance_ratio(
        pooled, image, high
    )


def test_bands_cover_every_frequency_once(image):
    bands = radial_bands((24, 24), BANDS)
    assert bands.unique().tolist() == list(range(BANDS))
    for band in (0, 3, 7):
        noise = band_noise(image, band, BANDS, seed=3)
        shares = band_shares(noise, BANDS)
        assert shares[band] == pytest.approx(1, abs=1e-5)
