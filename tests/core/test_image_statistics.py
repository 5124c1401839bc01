"""Statistics of images against a loop."""

import numpy as np
import pytest
import torch

from mmseg_ddu.core.image_statistics import image_statistics, num_statistics


def loop(image):
    """(C, H, W) with sides that are multiples of 16, float64."""
    image = image.double().numpy()
    means = image.mean((1, 2))
    centred = image - means[:, None, None]
    levels = [centred]
    for _ in range(4):
        c, h, w = levels[-1].shape
        blocks = levels[-1].reshape(c, h // 2, 2, w // 2, 2)
        levels.append(blocks.mean((2, 4)))
    powers = [np.square(level).mean((1, 2)) for level in levels]
    parts = [a - b for a, b in zip(powers, powers[1:])]
    differences = np.square(np.diff(centred, axis=0)).mean((1, 2))
    logs = np.log(np.concatenate([powers[-1], *parts, differences]))
    return np.concatenate([means, logs])


@pytest.mark.parametrize('channels', [1, 3, 6])
def test_against_a_loop(channels):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(2, channels, 48, 64, generator=rng) * 3 + 1
    got = image_statistics(images)
    assert got.shape == (2, num_statistics(channels))
    for image, values in zip(images, got):
        np.testing.assert_allclose(values, loop(image), atol=1e-3)


def test_same_under_autocast_and_of_flat_images():
    image = torch.rand(1, 3, 40, 56)
    with torch.autocast('cpu', torch.bfloat16):
        got = image_statistics(image)
    assert torch.equal(got, image_statistics(image))
    assert image_statistics(torch.zeros(1, 3, 5, 7)).isfinite().all()
