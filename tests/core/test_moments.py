"""Streamed moments against two-pass float64."""

import copy
import functools

import numpy as np
import pytest
import torch

from mmseg_ddu.core import ClassMoments


def merged(parts):
    """What all of them have seen."""
    return functools.reduce(ClassMoments.merge, copy.deepcopy(parts))


def data(seed=0, n=400, dim=5, classes=3, offset=0.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=rng, dtype=torch.float64)
    x = torch.randn(n, dim, generator=rng, dtype=torch.float64) @ mixing
    y = torch.randint(classes, (n,), generator=rng)
    return (x + y[:, None] + offset).to(dtype), y


def reference(x, y, label):
    """Two passes of numpy in float64."""
    chosen = x[y == label].double().numpy()
    centred = chosen - chosen.mean(0)
    return len(chosen), chosen.mean(0), centred.T @ centred


def assert_matches(moments, x, y, rtol=1e-10):
    for label in range(moments.num_classes):
        count, mean, scatter = reference(x, y, label)
        assert moments.counts[label] == count
        np.testing.assert_allclose(moments.means[label], mean, rtol=rtol)
        got = moments.scatters[label]
        expected = np.diag(scatter) if moments.diagonal else scatter
        np.testing.assert_allclose(
            got, expected, rtol=rtol, atol=rtol * np.abs(expected).max()
        )


@pytest.mark.parametrize('diagonal', [False, True])
@pytest.mark.parametrize('chunk', [1, 7, 400])
def test_any_chunking(chunk, diagonal):
    x, y = data()
    moments = ClassMoments(3, 5, diagonal)
    for start in range(0, len(x), chunk):
        moments.update(x[start : start + chunk], y[start : start + chunk])
    assert_matches(moments, x, y)


def test_any_merge_order():
    x, y = data()
    parts = [
        ClassMoments(3, 5).update(a, b)
        for a, b in zip(x.split(90), y.split(90))
    ]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        assert_matches(merged([parts[i] for i in order]), x, y)


def test_large_mean_small_spread():
    """A one-pass sum of squares would lose every digit here."""
    x, y = data(offset=1e8)
    moments = ClassMoments(3, 5)
    for a, b in zip(x.split(50), y.split(50)):
        moments.update(a, b)
    centred, _ = data()
    for label in range(3):
        _, _, scatter = reference(centred, y, label)
        np.testing.assert_allclose(
            moments.scatters[label], scatter, rtol=1e-5, atol=1e-3
        )


def test_void_absent_and_single_pixel():
    x, _ = data(n=6)
    labels = torch.tensor([0, 0, 255, -1, 2, 4])
    moments = ClassMoments(4, 5).update(x, labels)
    assert moments.counts.tolist() == [2, 0, 1, 0]
    assert torch.equal(moments.means[2], x[4])
    assert moments.scatters[2].abs().max() == 0
    assert moments.means[[1, 3]].abs().max() == 0


def test_pooled_and_total_scatter():
    x, y = data()
    moments = ClassMoments(3, 5).update(x, y)
    np.testing.assert_allclose(moments.pooled_mean(), x.mean(0))
    centred = x - x.mean(0)
    np.testing.assert_allclose(moments.total_scatter(), centred.T @ centred)
    diagonal = ClassMoments(3, 5, diagonal=True).update(x, y)
    np.testing.assert_allclose(diagonal.total_scatter(), (centred**2).sum(0))


@pytest.mark.parametrize('offset', [0.0, 1e3])
@pytest.mark.parametrize('diagonal', [False, True])
def test_float32_input_keeps_seven_digits(offset, diagonal):
    """Errors in units of the standard deviations, over many blocks."""
    x, y = data(n=40000, dim=24, offset=offset, dtype=torch.float32)
    moments = ClassMoments(3, 24, diagonal)
    for a, b in zip(x.split(9000), y.split(9000)):
        moments.update(a, b)
    for label in range(3):
        count, mean, scatter = reference(x, y, label)
        spread = np.sqrt(np.diag(scatter) / count)
        assert moments.counts[label] == count
        error = np.abs(moments.means[label].numpy() - mean) / spread
        assert error.max() < 2e-8
        got, scale = moments.scatters[label].numpy(), np.outer(spread, spread)
        if diagonal:
            scatter, scale = np.diag(scatter), spread**2
        assert (np.abs(got - scatter) / scale / count).max() < 3e-7


def test_half_precision_is_multiplied_in_float32():
    x, y = data(offset=8.0)
    x = x.half()
    moments = ClassMoments(3, 5).update(x, y)
    assert_matches(moments, x, y, rtol=1e-6)


def test_layouts_agree():
    x, y = data()
    rows = ClassMoments(3, 5).update(x, y)
    columns = ClassMoments(3, 5).update(x.T.contiguous().T, y)
    np.testing.assert_allclose(rows.scatters, columns.scatters, rtol=1e-12)


def test_bad_input():
    moments = ClassMoments(3, 5)
    with pytest.raises(ValueError, match=r'shape \(N, 5\)'):
        moments.update(torch.zeros(4, 6), torch.zeros(4))
    with pytest.raises(ValueError, match='labels of shape'):
        moments.update(torch.zeros(4, 5), torch.zeros(3))
    with pytest.raises(ValueError, match='No labelled feature'):
        moments.pooled_mean()
    for other in (ClassMoments(3, 6), ClassMoments(3, 5, pooled=True)):
        with pytest.raises(ValueError, match='same classes'):
            moments.merge(other)


@pytest.mark.parametrize('kind', [{}, dict(diagonal=True), dict(pooled=True)])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_nonfinite_vectors_are_left_out_and_counted(kind, dtype):
    x, y = data(dtype=dtype)
    clean = ClassMoments(3, 5, **kind).update(x, y)
    bad = torch.randn(30, 5, dtype=dtype)
    for row, value in enumerate((torch.nan, torch.inf, -torch.inf) * 10):
        bad[row, row % 5] = value
    labels = torch.arange(30) % 3
    labels[labels == 2] = 1
    order = torch.randperm(430, generator=torch.Generator().manual_seed(0))
    x, y = torch.cat([x, bad])[order], torch.cat([y, labels])[order]
    parts = [
        ClassMoments(3, 5, **kind).update(a, b)
        for a, b in zip(x.split(71), y.split(71))
    ]
    moments = merged(parts)
    assert moments.nonfinite.tolist() == [10, 20, 0]
    assert torch.equal(moments.counts, clean.counts)
    np.testing.assert_allclose(moments.means, clean.means, rtol=1e-6)
    np.testing.assert_allclose(
        moments.scatters, clean.scatters, rtol=1e-5, atol=1e-3
    )


def test_only_nonfinite_vectors_are_an_error():
    moments = ClassMoments(3, 5)
    moments.update(torch.full((4, 5), torch.nan), torch.tensor([0, 1, 1, 255]))
    assert moments.nonfinite.tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match='All 3 labelled features hold NaN'):
        moments.pooled_mean()


def test_pooled_is_the_sum_over_classes():
    x, y = data()
    full = ClassMoments(3, 5).update(x, y)
    pooled = merged(
        [
            ClassMoments(3, 5, pooled=True).update(a, b)
            for a, b in zip(x.split(90), y.split(90))
        ]
    )
    assert pooled.scatters.shape == (1, 5, 5)
    np.testing.assert_allclose(pooled.scatters[0], full.scatters.sum(0))
    np.testing.assert_allclose(pooled.total_scatter(), full.total_scatter())
    offset, basis = x.mean(0), torch.linalg.qr(torch.eye(5)[:, :2].double())[0]
    np.testing.assert_allclose(
        pooled.projected(offset, basis).scatters.sum(0),
        full.projected(offset, basis).scatters.sum(0),
    )


@pytest.mark.parametrize('diagonal', [False, True])
@pytest.mark.parametrize('scale', [1e-30, 1e-18, 1e18, 1e30, 3e37])
def test_float32_squares_that_overflow_or_vanish(scale, diagonal):
    x, y = data()
    x = (x * (scale / x.abs().max())).float()
    assert_matches(ClassMoments(3, 5, diagonal).update(x, y), x, y, rtol=1e-6)


def test_state_goes_on_bit_for_bit():
    rng = torch.Generator().manual_seed(0)
    blocks = [
        (torch.randn(50, 3, generator=rng), torch.arange(50) % 3)
        for _ in range(4)
    ]
    blocks[0][0][4] = torch.nan
    whole, first = ClassMoments(4, 3), ClassMoments(4, 3)
    for block in blocks:
        whole.update(*block)
    for block in blocks[:2]:
        first.update(*block)
    second = ClassMoments(4, 3).load_state_dict(first.state_dict())
    for block in blocks[2:]:
        second.update(*block)
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    with pytest.raises(ValueError, match='saved moments'):
        ClassMoments(4, 3, diagonal=True).load_state_dict(first.state_dict())
