"""On maps whose bounds are known."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core.distances import (
    band_noise,
    band_shares,
    distance_ratio,
    flattest_direction,
    hidden_change,
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


def linear(image, values):
    """A linear map with these singular values and random singular vectors."""
    generator = torch.Generator().manual_seed(1)
    number = image.numel()
    left, right = (
        torch.linalg.qr(torch.randn(number, number, generator=generator)).Q
        for _ in range(2)
    )
    matrix = (left[:, : len(values)] * values) @ right[: len(values)]
    return lambda x: x.reshape(1, -1) @ matrix.T, right


def test_ratios_of_a_map_that_nearly_keeps_distances(image):
    other = image.flip(3)
    assert 0.6 <= distance_ratio(near_identity, image, other) <= 1.4
    for band in range(BANDS):
        moved = image + 1e-2 * band_noise(image, band, BANDS, seed=band)
        assert 0.59 <= distance_ratio(near_identity, image, moved) <= 1.41
    found = flattest_direction(near_identity, image, products=200)
    assert found.converged
    assert 0.6 - 1e-4 <= found.ratio < 0.61


def test_the_smallest_singular_value_is_found(image):
    small = image[:, :1, :8, :8]
    f, right = linear(small, torch.linspace(3, 0.2, 64))
    found = flattest_direction(f, small)
    assert found.converged
    assert found.ratio == pytest.approx(0.2, rel=1e-2)
    assert abs(found.direction.flatten() @ right[-1]) > 0.99
    assert found.products <= 2 * 64 + 1


def test_ill_conditioned_and_with_a_null_space(image):
    """As a tap with fewer values than the image, of the worst shape."""
    f, right = linear(image, torch.logspace(1.5, -2, 1000))
    found = flattest_direction(f, image)
    white = float(f(band_noise(image, 0, 1, seed=0)).norm())
    assert found.converged and found.ratio < 1e-3 * white
    assert found.products < 1000
    seen = right[:800] @ found.direction.flatten()
    assert float(seen.norm()) < 0.05
    short = flattest_direction(f, image, products=60)
    assert not short.converged
    assert 10 * found.ratio < short.ratio and short.products == 61


def test_a_strided_pooling_has_a_direction_that_it_cannot_see(image):
    found = flattest_direction(pooled, image)
    assert found.converged and found.ratio < 1e-5
    # Nothing is lost below the cut-off, a quarter of what there is.
    assert band_shares(found.direction, BANDS)[0] < 0.01
    assert float(found.direction.norm()) == pytest.approx(1, rel=1e-4)
    low = image + band_noise(image, 0, BANDS, seed=0)
    high = image + band_noise(image, 7, BANDS, seed=0)
    assert distance_ratio(pooled, image, low) > 5 * distance_ratio(
        pooled, image, high
    )


def test_a_change_is_bent_along_circles(image):
    """f = x² + y² of each pixel: what it cannot see is a turn."""

    def f(x):
        return x.square().sum(1)

    image = image + 0.5
    turn = torch.stack([-image[:, 1], image[:, 0]], 1)
    change = 0.3 * turn
    for _ in range(3):
        change = hidden_change(f, image, change)
    before = distance_ratio(f, image, image + 0.3 * turn)
    assert before > 0.1
    assert distance_ratio(f, image, image + change) < 1e-4 * before
    torch.testing.assert_close(change.norm(), 0.3 * turn.norm())
    radii = (image + change).square().sum(1)
    torch.testing.assert_close(radii, image.square().sum(1))


def test_bands_cover_every_frequency_once(image):
    bands = radial_bands((24, 24), BANDS)
    assert bands.unique().tolist() == list(range(BANDS))
    for band in (0, 3, 7):
        noise = band_noise(image, band, BANDS, seed=3)
        shares = band_shares(noise, BANDS)
        assert shares[band] == pytest.approx(1, abs=1e-5)
