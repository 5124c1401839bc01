"""Ranking metrics against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts


def scores(seed=0, n=5000, center=0.0, spread=1.0):
    rng = np.random.default_rng(seed)
    positives = rng.random(n) < 0.2
    values = center + spread * (rng.normal(size=n) + positives)
    return torch.tensor(values, dtype=torch.float32), torch.tensor(positives)


def reference(values, positives):
    fpr, tpr, _ = roc_curve(positives, values, drop_intermediate=False)
    return (
        roc_auc_score(positives, values),
        average_precision_score(positives, values),
        fpr[np.argmax(tpr >= 0.95)],
    )


def metrics(counts):
    return counts.auroc(), counts.aupr(), counts.fpr_at_tpr(0.95)


@pytest.mark.parametrize(
    'center, spread', [(0, 1), (-1000, 1), (-1000, 30), (731, 200), (0, 1e-6)]
)
def test_exact_bits_are_scikit_learns(center, spread):
    """Log densities near -1000 too, where a sigmoid would saturate."""
    values, positives = scores(center=center, spread=spread)
    counts = RankingCounts(bits=32)
    counts.update(values, positives)
    np.testing.assert_allclose(
        metrics(counts), reference(values, positives), rtol=1e-9
    )


def test_default_grid_is_close():
    values, positives = scores(center=-1000, spread=20)
    counts = RankingCounts()
    counts.update(values, positives)
    np.testing.assert_allclose(
        metrics(counts), reference(values, positives), atol=2e-3
    )


def test_merging_images_is_not_averaging_them():
    first, second = scores(0, 500, center=0), scores(1, 900, center=5)
    counts = RankingCounts(bits=32)
    counts.update(*first)
    other = RankingCounts(bits=32)
    other.update(*second)
    counts.merge(other)
    pooled = [torch.cat(pair) for pair in zip(first, second)]
    np.testing.assert_allclose(metrics(counts), reference(*pooled), rtol=1e-9)
    averaged = np.mean([reference(*first)[0], reference(*second)[0]])
    assert abs(counts.auroc() - averaged) > 0.05


def test_ties_and_zero_signs():
    values = torch.tensor([0.0, -0.0, 1.0, 1.0, -2.0])
    positives = torch.tensor([True, False, True, False, False])
    counts = RankingCounts()
    counts.update(values, positives)
    assert counts.auroc() == pytest.approx(roc_auc_score(positives, values))


def test_order_of_negative_and_infinite_scores():
    values = torch.tensor([-math.inf, -5.0, -1.0, 0.0, 2.0, math.inf])
    counts = RankingCounts(bits=32)
    counts.update(values, torch.tensor([0, 0, 0, 1, 1, 1]).bool())
    assert counts.auroc() == 1.0


def test_memory_is_bounded():
    counts = RankingCounts(bits=12)
    for seed in range(5):
        counts.update(*scores(seed, 20000))
    assert len(counts.keys) <= 2**12
    assert counts.num_positives + counts.num_negatives == 100000


def test_missing_side_is_nan_with_a_warning():
    counts = RankingCounts()
    counts.update(torch.rand(5), torch.zeros(5).bool())
    for metric in (counts.auroc, counts.aupr, counts.fpr_at_tpr):
        with pytest.warns(UserWarning, match='no positive pixel'):
            assert math.isnan(metric())


def test_bad_input():
    counts = RankingCounts()
    with pytest.raises(ValueError, match='NaN'):
        counts.update(torch.tensor([math.nan]), torch.tensor([True]))
    with pytest.raises(ValueError, match='one shape'):
        counts.update(torch.rand(3), torch.zeros(2).bool())
    with pytest.raises(ValueError, match='bits'):
        counts.merge(RankingCounts(bits=12))


def test_best_f1_is_scikit_learns():
    values, positives = scores(center=-900, spread=40)
    counts = RankingCounts(bits=32)
    counts.update(values, positives)
    precision, recall, limits = precision_recall_curve(positives, values)
    f1 = 2 * precision * recall / (precision + recall)
    got, limit = counts.best_f1()
    assert got == pytest.approx(f1.max())
    assert limit == pytest.approx(limits[f1.argmax()])
    assert got == pytest.approx(f1_score(positives, values >= limit))


@pytest.mark.parametrize('bits', [12, 22, 32])
def test_keys_and_scores(bits):
    """A score lies in the cell that its key names, and keys keep order."""
    counts = RankingCounts(bits)
    values = torch.cat([scores(spread=s)[0] for s in (1e-9, 1, 1e9)])
    values = torch.cat([values, torch.tensor([0.0, -0.0])])
    keys = counts.key(values)
    low, high = counts.score(keys), counts.score(keys + 1)
    assert ((low <= values) & (values < high)).all()
    if bits == 32:
        assert torch.equal(low, values)
