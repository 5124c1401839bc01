"""One number an image: which images it finds strange."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from mmseg_ddu.models.image_novelty import ImageNovelty, _rule


def photographs(number, channels=3, seed=0, size=64):
    """Smooth images of various contrast and colour, with a little noise."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(number, channels, 8, 8, generator=rng)
    common = torch.randn(number, 1, 8, 8, generator=rng)
    contrast = 0.5 + torch.rand(number, 1, 1, 1, generator=rng)
    colour = 0.5 * torch.randn(number, channels, 1, 1, generator=rng)
    smooth = F.interpolate(coarse + 2 * common, size, mode='bicubic')
    noise = torch.randn(number, channels, size, size, generator=rng)
    return contrast * (smooth + 0.3 * noise) + colour


@pytest.fixture(scope='module')
def novelty():
    module = ImageNovelty(3)
    module.fit(module.statistics(photographs(400)))
    return module


def blurred(images):
    return F.avg_pool2d(images, 5, 1, 2)


def noisy(images):
    rng = torch.Generator().manual_seed(9)
    return images + 0.5 * torch.randn(images.shape, generator=rng)


def faded(images):
    return images.mean(1, keepdim=True) + 0.1 * images


@pytest.mark.parametrize('change', [blurred, noisy, faded])
def test_it_finds_other_images(novelty, change):
    known = photographs(200, seed=1)
    scores = novelty(torch.cat([known, change(known)]))
    labels = np.repeat([0, 1], 200)
    assert roc_auc_score(labels, scores) > 0.95
    assert novelty.percentile(novelty(change(known))).mean() > 0.95


def test_percentiles_of_new_images_are_uniform(novelty):
    shares = novelty.percentile(novelty(photographs(400, seed=2)))
    levels = np.linspace(0.1, 0.9, 9)
    below = np.quantile(shares, levels)
    np.testing.assert_allclose(below, levels, atol=0.1)


@pytest.mark.parametrize('channels, number', [(1, 1), (3, 2), (6, 30)])
def test_few_images_are_enough_for_a_number(channels, number):
    module = ImageNovelty(channels)
    images = photographs(number, channels)
    module.fit(module.statistics(images))
    distances = module(photographs(5, channels, seed=3))
    assert distances.isfinite().all()
    assert module.percentile(distances).min() >= 0
    with pytest.raises(ValueError, match='finite'):
        module.fit(torch.full((2, module.statistics.size), torch.nan))


def test_distance_is_mahalanobis(novelty):
    vectors = novelty.statistics(photographs(400)).double()
    shift, root = _rule(vectors)
    mean = vectors.mean(0)
    expected = torch.linalg.vector_norm((vectors - mean) @ root, dim=1)
    got = novelty(photographs(400))
    assert torch.equal(novelty.distances(vectors.float()), got)
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(shift, mean @ root)


def test_what_is_no_image_is_the_strangest(novelty):
    images = photographs(3)
    images[0, 0, 3, 3], images[1, 1, 0, 0] = torch.nan, torch.inf
    shares = novelty.percentile(novelty(images))
    assert shares[:2].tolist() == [1, 1] and shares[2] < 1


def test_half_precision_changes_nothing(novelty):
    image = photographs(1).half()
    expected = novelty(image)
    for kind in (torch.float16, torch.bfloat16):
        assert torch.equal(novelty.to(kind)(image), expected)
    assert novelty.root.dtype == torch.float32
