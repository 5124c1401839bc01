"""Statistics of images against a loop."""

import numpy as np
import pytest
import torch

from mmseg_ddu.core.image_statistics import ImageStatistics


def wavelets(image):
    """Variance of the details of each level, and of what is left.

    In blocks of 4 x 4, each place about its own mean.
    """
    details = []
    for phases in (2, 1, 2, 1):
        a, b = image[:, ::2, ::2], image[:, ::2, 1::2]
        c, d = image[:, 1::2, ::2], image[:, 1::2, 1::2]
        waves = (a + b - c - d, a - b + c - d, a - b - c + d)
        places = np.ndindex(phases, phases)
        parts = [
            (wave[:, y::phases, x::phases] / 4).var((1, 2)) / phases**2
            for y, x in places
            for wave in waves
        ]
        details.append(sum(parts))
        image = (a + b + c + d) / 4
    return np.array(details), image.var((1, 2))


def loop(image):
    """(C, H, W), float64."""
    image = image.double().numpy()
    image = image[:, : image.shape[1] // 16 * 16, : image.shape[2] // 16 * 16]
    details, rest = wavelets(image)
    between, left = wavelets(np.diff(image, axis=0))
    variances = [rest, *details, between.sum(0) + left]
    means = image.mean((1, 2))
    return np.concatenate([means, np.log(np.concatenate(variances))])


@pytest.mark.parametrize('channels', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(48, 64), (53, 70)])
def test_against_a_loop(channels, size):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(2, channels, *size, generator=rng) * 3 + 1
    statistics = ImageStatistics(channels)
    got = statistics(images)
    assert got.shape == (2, statistics.size)
    for image, values in zip(images, got):
        np.testing.assert_allclose(values, loop(image), atol=1e-3)


def test_the_levels_add_up_to_the_variance():
    image = torch.rand(1, 1, 256, 128, generator=torch.Generator())
    _, *logs = ImageStatistics(1)(image)[0].double()
    total = torch.stack(logs).exp().sum()
    assert total.item() == pytest.approx(image.var().item(), rel=0.01)


def test_same_under_autocast_and_of_small_images():
    statistics, image = ImageStatistics(3), torch.rand(1, 3, 40, 56)
    with torch.autocast('cpu', torch.bfloat16):
        got = statistics(image)
    assert torch.equal(got, statistics(image))
    assert statistics(torch.zeros(1, 3, 5, 7)).isfinite().all()
    assert not statistics.state_dict()
