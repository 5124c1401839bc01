"""Calibration against scikit-learn and float64 loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts


def sample(seed=0, n=4000, classes=5, sharp=3.0, void=0.1):
    """Labels drawn from softmax(logits / sharp): T = sharp is the best."""
    rng = np.random.default_rng(seed)
    logits = sharp * 2 * rng.normal(size=(n, classes))
    cumulated = softmax(logits / sharp).cumsum(1)
    labels = (rng.random((n, 1)) > cumulated).sum(1).clip(0, classes - 1)
    labels[rng.random(n) < void] = 255
    return logits, labels


def softmax(logits):
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)


def loop_ece(probs, labels, n_bins=15):
    """Guo et al.: bins ((m-1)/M, m/M], one pixel at a time."""
    bins = [[] for _ in range(n_bins)]
    for p, y in zip(probs, labels):
        for m in range(n_bins):
            if m / n_bins < p.max() <= (m + 1) / n_bins:
                bins[m].append((p.max(), p.argmax() == y))
    gaps = [
        len(b) * abs(np.mean([r for _, r in b]) - np.mean([c for c, _ in b]))
        for b in bins
        if b
    ]
    return sum(gaps) / len(labels)


def sorted_ece(probs, labels, n_bins=15):
    """Sort by confidence, cut into parts of equal number."""
    confidence, right = probs.max(1), probs.argmax(1) == labels
    order = np.argsort(confidence)
    parts = np.array_split(order, n_bins)
    return sum(
        len(p) * abs(right[p].mean() - confidence[p].mean()) for p in parts
    ) / len(labels)


def counted(values, labels):
    counts = CalibrationCounts()
    counts.update(torch.tensor(values).T, torch.tensor(labels))
    return counts


def test_against_references():
    logits, labels = sample()
    known = labels != 255
    probs, target = softmax(logits)[known], labels[known]
    counts = counted(logits, labels)
    assert counts.num_pixels == known.sum()
    assert counts.ece() == pytest.approx(loop_ece(probs, target), rel=1e-9)
    assert counts.nll() == pytest.approx(
        log_loss(target, probs, labels=range(5)), rel=1e-9
    )
    one_hot = np.eye(5)[target]
    assert counts.brier() == pytest.approx(
        ((probs - one_hot) ** 2).sum(1).mean(), rel=1e-9
    )


def test_adaptive():
    logits, labels = sample(n=4500, void=0)  # 15 bins of 300
    probs = softmax(logits)
    expected = sorted_ece(probs, labels)
    assert counted(logits, labels).adaptive_ece() == pytest.approx(
        expected, abs=1e-3
    )
    share = counted(logits, labels).reliability(adaptive=True).share
    assert torch.allclose(share, torch.full((15,), 1 / 15).double())


def test_ties_do_not_depend_on_the_order():
    logits = np.tile([50.0, 0.0], (9, 1))
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0])
    for order in (range(9), [3, 4, 5, 0, 1, 2, 6, 7, 8]):
        counts = CalibrationCounts(n_bins=3)
        counts.update(
            torch.tensor(logits.T), torch.tensor(labels[list(order)])
        )
        assert counts.adaptive_ece() == pytest.approx(1 / 3)


def test_images_and_log_probabilities():
    logits, labels = sample(n=12 * 7)
    rows = counted(logits, labels)
    image = CalibrationCounts()
    image.update(
        torch.tensor(logits.T.reshape(5, 12, 7)),
        torch.tensor(labels.reshape(12, 7)),
    )
    given = counted(np.log(softmax(logits)), labels)
    for other in (image, given):
        for name, value in rows.figures().items():
            assert other.figures()[name] == pytest.approx(value)


def test_merging_is_pooling():
    (a, la), (b, lb) = sample(0), sample(1, n=700, sharp=1.0)
    merged = counted(a, la)
    merged.merge(counted(b, lb))
    pooled = counted(np.concatenate([a, b]), np.concatenate([la, lb]))
    for name in ('ece', 'adaptive_ece', 'nll', 'brier'):
        assert getattr(merged, name)() == pytest.approx(
            getattr(pooled, name)(), rel=1e-9
        )
    with pytest.raises(ValueError, match='n_bins'):
        merged.merge(CalibrationCounts(n_bins=10))


def test_one_logit_is_a_sigmoid():
    logits = torch.tensor([[2.0], [-1.0], [0.5]], dtype=torch.float64)
    labels = torch.tensor([1, 0, 0])
    counts = CalibrationCounts()
    counts.update(logits.T, labels)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.double()
    )
    assert counts.nll() == pytest.approx(expected.item())


def test_reliability_diagram():
    probs = np.array([[0.9, 0.1], [0.85, 0.15], [0.3, 0.7]])
    counts = CalibrationCounts(n_bins=5)
    counts.update(torch.tensor(np.log(probs.T)), torch.tensor([0, 1, 1]))
    got = counts.reliability()
    assert (3 * got.share).tolist() == pytest.approx([0, 0, 0, 1, 2])
    np.testing.assert_allclose(got.confidence[3:], [0.7, 0.875])
    np.testing.assert_allclose(got.accuracy[3:], [1, 0.5])
    assert got.accuracy[:3].isnan().all()
    assert got.error() == pytest.approx((0.3 + 2 * 0.375) / 3)


def test_empty():
    empty = counted(np.zeros((2, 3)), [255, 255])
    values = (empty.ece(), empty.adaptive_ece(), empty.nll(), empty.brier())
    assert all(map(math.isnan, values)) and empty.figures() == {}


def test_bad_input():
    with pytest.raises(ValueError, match=r'\[0, 3\)'):
        counted(np.ones((2, 3)), [0, 3])
    with pytest.raises(ValueError, match='shape'):
        CalibrationCounts().update(torch.ones(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match='n_bins'):
        CalibrationCounts(n_bins=0)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_pixels_without_a_number_count_as_uniform(value):
    logits, labels = sample(void=0)
    uniform = counted(logits, labels)
    uniform.merge(counted(np.zeros((1, 5)), [1]))
    odd = np.full(5, 0.2)
    odd[1] = value
    got = counted(logits, labels)
    got.merge(counted(odd[None], [1]))
    assert got.nll() == pytest.approx(uniform.nll())
    assert got.brier() == pytest.approx(uniform.brier())
    assert got.bins[:, :2].tolist() == uniform.bins[:, :2].tolist()


def test_void_may_hold_anything_and_halves_do():
    logits, labels = sample(void=0)
    expected = counted(logits, labels)
    both = np.concatenate([logits, np.full((3, 5), np.nan)])
    got = counted(both, np.append(labels, [255] * 3))
    assert (got.ece(), got.nll()) == (expected.ece(), expected.nll())
    half = CalibrationCounts()
    half.update(torch.tensor(logits.T).half(), torch.tensor(labels))
    assert half.ece() == pytest.approx(expected.ece(), abs=2e-3)
