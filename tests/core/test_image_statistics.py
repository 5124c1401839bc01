"""Statistics of a whole image."""

import numpy as np
import pytest
import torch

from mmseg_ddu.core.image_statistics import STATISTICS, colors

STYLE = STATISTICS['style'].function
ODD = [torch.nan, torch.inf, -torch.inf]


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('name', STATISTICS)
def test_one_vector_per_image(name):
    images = numbers(2, 3, 6, 7)
    statistic = STATISTICS[name]
    got = statistic.function(images)
    assert got.shape == (2, statistic.dimensions(3))
    torch.testing.assert_close(got[1:], statistic.function(images[1:]))
    torch.testing.assert_close(got, statistic.of_finite(images))


def test_signal_to_noise_does_not_know_how_strong_a_channel_answers():
    images = (
        numbers(2, 3, 6, 7) + torch.tensor([0.0, 2.0, -5.0])[:, None, None]
    )
    flat = images.double().numpy().reshape(2, 3, -1)
    ratio = STATISTICS['signal_to_noise'].function
    expected = flat.mean(2) / (flat.std(2) + 1e-3)
    np.testing.assert_allclose(ratio(images), expected, atol=1e-5)
    np.testing.assert_allclose(ratio(9 * images), expected, rtol=2e-3)


@pytest.mark.parametrize('value', ODD)
def test_style_of_the_finite_values(value):
    image = torch.randn(2, 3, 6, 7) + 2
    image[1, 2, 3, 4] = value
    got = STATISTICS['style'].of_finite(image)
    torch.testing.assert_close(got[0], STYLE(image[:1])[0])
    torch.testing.assert_close(got[1, [0, 1]], STYLE(image[1:, :2])[0, :2])
    rest = image[1, 2][image[1, 2].isfinite()]
    assert got[1, 2] == pytest.approx(rest.mean().item(), rel=1e-5)
    spread = rest.std(unbiased=False) + 1e-3
    assert got[1, 5] == pytest.approx(spread.log().item(), rel=1e-5)
    image[1, 2] = value
    assert STATISTICS['style'].of_finite(image)[1, 2].isnan()
    assert STATISTICS['style'].of_finite(image)[1, [0, 1]].isfinite().all()
    huge = torch.randn(1, 3, 6, 7) * 1e30
    assert STATISTICS['style'].of_finite(huge).isfinite().all()


def test_colors_see_a_grey_photograph():
    image = (
        numbers(2, 3, 16, 20) * torch.tensor([1.0, 0.5, 2.0])[:, None, None]
    )
    red, green, blue = image.double().numpy().swapaxes(0, 1)
    axes = [
        (red + green + blue) / 3**0.5,
        (red - green) / 2**0.5,
        (red + green - 2 * blue) / 6**0.5,
    ]
    expected = np.log([axis.std((1, 2)) + 1e-3 for axis in axes]).T
    np.testing.assert_allclose(colors(image), expected, atol=1e-4)
    grey = colors(image[:, :1].expand(-1, 3, -1, -1))
    assert (grey[:, 1:] < -6).all() and (grey[:, 0] > -1).all()
