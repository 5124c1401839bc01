"""The density head: presets, strides, options, state."""

import numpy as np
import pytest
import torch
from torch import nn

from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.transforms import TRANSFORMS
from mmseg_ddu.models import GDAHead


def features(channels=6, n=2, size=9, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, channels, size, size, generator=rng) + 3


def rows(feature):
    return feature.movedim(1, -1).flatten(0, 2)


def fit(head, feature, classes=3):
    """Labels by position."""
    vectors = head.vectors(rows(feature))
    moments = head.new_moments()
    head.update(moments, vectors, torch.arange(len(vectors)) % classes)
    head.density.fit_moments(moments)
    head.surprise.fit(-head.density.score_samples(vectors))
    head.set_fitted()
    return head


def test_paper_preset_is_minus_log_density_in_nats():
    z = features()
    head = fit(GDAHead(3, 6, preset='ddu-paper'), z)
    density = GaussianDensity(3, 6, shrinkage=0.0)
    labels = torch.arange(162) % 3
    density.fit_moments(density.new_moments().update(rows(z), labels))
    expected = -density.score_samples(rows(z)).reshape(2, 1, 9, 9)
    np.testing.assert_allclose(head(z), expected, rtol=1e-5)
    assert head.stride == 1


@pytest.mark.parametrize('classes, channels', [(3, 6), (21, 128)])
def test_a_cell_depends_on_its_feature_alone(classes, channels):
    """Padding, batch and permutation change nothing."""
    z = features(channels, n=3, size=12)
    head = fit(GDAHead(classes, channels, stride=1), z, classes)
    scores = head(z)
    order = torch.randperm(144)
    shuffled = z.flatten(2)[:, :, order].unflatten(2, (12, 12))
    close = dict(rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(
        head(shuffled).flatten(1), scores.flatten(1)[:, order], **close
    )
    torch.testing.assert_close(head(z[1:2]), scores[1:2], **close)
    for right, bottom in ((1, 0), (3, 5), (20, 7)):
        padded = nn.functional.pad(z, (0, right, 0, bottom), value=7.0)
        got = head(padded)[..., :12, :12]
        torch.testing.assert_close(got, scores, **close)


@pytest.mark.parametrize('size', [(7, 7), (8, 11), (1, 2)])
@pytest.mark.parametrize('stride', [2, 3])
def test_stride_scores_some_cells_and_interpolates(size, stride):
    z = features(size=20)
    full = fit(GDAHead(3, 6, stride=1), z)
    some = fit(GDAHead(3, 6, stride=stride), z)
    z = z[..., : size[0], : size[1]]
    exact, got = full(z), some(z)
    assert got.shape == exact.shape
    scored = got[..., ::stride, ::stride]
    torch.testing.assert_close(
        scored, exact[..., ::stride, ::stride], rtol=1e-4, atol=1e-3
    )
    if min(size) > stride:
        a, b = scored[0, 0, 0, :2]
        assert got[0, 0, 0, 1] == pytest.approx(
            float(a + (b - a) / stride), rel=1e-3, abs=1e-3
        )


def test_direction_ignores_length():
    z = features()
    head = fit(GDAHead(3, 6), z)
    torch.testing.assert_close(head(7 * z), head(z), rtol=1e-3, atol=1e-2)


def test_transforms_follow_one_another():
    head = GDAHead(3, 6, transform=['null_space', 'direction'])
    head.prepare(torch.randn(3, 6, 1, 1))
    vectors = head.vectors(torch.randn(10, 6))
    assert vectors.shape == (10, 4)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(10))


def test_the_same_bits_under_autocast():
    z = features(128, size=8).bfloat16()
    head = fit(GDAHead(21, 128), features(128, size=30), 21)
    plain = head(z)
    with torch.autocast('cpu', torch.bfloat16):
        cast = head(z)
        surprise = head.surprise(plain)
    assert torch.equal(cast, plain) and cast.dtype == torch.float32
    assert torch.equal(surprise, head.surprise(plain))
    for kind in (torch.float16, torch.bfloat16):
        half = head.to(kind)
        assert half.density.means.dtype == torch.float32
        assert torch.equal(half(z), plain)


def test_percentile_of_the_training_pixels_is_uniform():
    z = features(size=40)
    head = fit(GDAHead(3, 6, stride=1), z)
    shares = head.surprise.percentile(head(z)).flatten()
    for level in (0.1, 0.5, 0.95):
        below = (shares < level).float().mean()
        assert below == pytest.approx(level, abs=0.01)


def test_bad_options():
    with pytest.raises(ValueError, match='preset.*ddu-paper'):
        GDAHead(3, 6, preset='vmf')
    with pytest.raises(ValueError, match='transform.*direction'):
        GDAHead(3, 6, transform='square')
    with pytest.raises(ValueError, match='density.*gaussian'):
        GDAHead(3, 6, density='parzen')
    with pytest.raises(ValueError, match=r"\['views'\].*components"):
        GDAHead(3, 6, views='multi-scale')
    with pytest.raises(ValueError, match='stride'):
        GDAHead(3, 6, stride=0)
    head = fit(GDAHead(3, 6), features())
    with pytest.raises(ValueError, match='another network'):
        head(features(7))
    with pytest.raises(NotFittedError, match='fit_gda.py'):
        GDAHead(3, 6)(features())


def test_a_new_transform_is_one_class():
    @TRANSFORMS.register('squares')
    class Squares(nn.Module):
        def __init__(self, channels, num_classes):
            super().__init__()
            self.num_features = channels

        def forward(self, features):
            return features.square()

    try:
        z = features()
        head = fit(GDAHead(3, 6, transform='squares'), z)
        traced = torch.jit.trace(head, z)
        torch.testing.assert_close(traced(z), head(z))
        other = fit(GDAHead(3, 6, transform='raw'), z)
        assert not torch.allclose(head(z), other(z))
        with pytest.raises(ValueError, match='already'):
            TRANSFORMS.register('squares')(Squares)
    finally:
        del TRANSFORMS['squares']
