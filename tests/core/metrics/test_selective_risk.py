"""Selective risk against loops over sorted pixels."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.metrics.selective_risk import (
    augrc,
    aurc,
    e_aurc,
    oracle_aurc,
    risk_at,
    risk_coverage,
)


def sample(seed=0, n=3000, center=-900.0):
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < 0.2
    scores = (center + 3 * (rng.normal(size=n) + wrong)).astype(np.float32)
    return scores, wrong


def counted(scores, wrong, bits=32):
    counts = RankingCounts(bits)
    counts.update(torch.tensor(scores), torch.tensor(wrong))
    return counts


def loop_aurc(wrong_in_order):
    """The definition: mean risk over every number of accepted pixels."""
    errors, risks = 0, []
    for i, wrong in enumerate(wrong_in_order, 1):
        errors += int(wrong)
        risks.append(errors / i)
    return sum(risks) / len(risks)


def test_without_ties_is_the_definition():
    rng = np.random.default_rng(1)
    scores = rng.permutation(2000).astype(np.float32) - 1500
    wrong = rng.random(2000) < 0.3
    counts = counted(scores, wrong)
    order = np.argsort(scores)
    assert aurc(counts) == pytest.approx(loop_aurc(wrong[order]), rel=1e-10)
    assert oracle_aurc(counts) == pytest.approx(
        loop_aurc(np.sort(wrong)), rel=1e-10
    )
    assert e_aurc(counts) == pytest.approx(
        loop_aurc(wrong[order]) - loop_aurc(np.sort(wrong)), rel=1e-9
    )


def test_ties_are_the_mean_over_all_orders():
    scores = np.array([0, 1, 1, 1, 1, 2, 2], np.float32)
    wrong = np.array([0, 1, 0, 0, 1, 1, 0], bool)
    areas = [
        loop_aurc([wrong[0], *middle, *last])
        for middle in itertools.permutations(wrong[1:5])
        for last in itertools.permutations(wrong[5:])
    ]
    assert aurc(counted(scores, wrong)) == pytest.approx(np.mean(areas))


def test_grid_is_close_and_merging_is_pooling():
    first, second = sample(0), sample(1, 4000)
    exact = counted(*(np.concatenate(pair) for pair in zip(first, second)))
    merged = counted(*first, bits=22)
    merged.merge(counted(*second, bits=22))
    assert aurc(merged) == pytest.approx(aurc(exact), abs=1e-3)
    assert e_aurc(merged) == pytest.approx(e_aurc(exact), abs=1e-3)
    merged = counted(*first)
    merged.merge(counted(*second))
    assert aurc(merged) == pytest.approx(aurc(exact), rel=1e-12)


def test_curve():
    scores, wrong = sample()
    coverage, risk = risk_coverage(counted(scores, wrong))
    for level in (0.1, 0.5, 1.0):
        i = int(np.argmin(np.abs(coverage.numpy() - level)))
        limit = np.sort(scores)[round(coverage[i].item() * len(scores)) - 1]
        accepted = scores <= limit
        assert coverage[i] == pytest.approx(accepted.mean())
        assert risk[i] == pytest.approx(wrong[accepted].mean())
    few_coverage, few_risk = risk_coverage(counted(scores, wrong), points=50)
    assert len(few_coverage) == 50
    assert few_coverage[-1] == 1 and few_risk[-1] == risk[-1]
    assert torch.isin(few_coverage, coverage).all()


def test_perfect_constant_and_empty():
    wrong = np.array([False] * 8 + [True] * 2)
    perfect = counted(np.arange(10, dtype=np.float32), wrong)
    assert e_aurc(perfect) == pytest.approx(0, abs=1e-12)
    constant = counted(np.zeros(10, np.float32), wrong)
    assert aurc(constant) == pytest.approx(0.2)
    assert math.isnan(aurc(RankingCounts()))
    assert math.isnan(e_aurc(RankingCounts()))
    assert risk_coverage(RankingCounts())[0].numel() == 0


def loop_augrc(wrong_in_order):
    """The definition: the trapezoidal rule over every coverage, from 0."""
    number, errors, area = len(wrong_in_order), 0, 0.0
    for wrong in wrong_in_order:
        before, errors = errors / number, errors + int(wrong)
        area += (before + errors / number) / 2 / number
    return area


def test_augrc_is_the_definition():
    rng = np.random.default_rng(2)
    scores = rng.permutation(1500).astype(np.float32) - 900
    wrong = rng.random(1500) < 0.05 + 0.3 * (scores > -100)
    got = augrc(counted(scores, wrong))
    assert got == pytest.approx(
        loop_augrc(wrong[np.argsort(scores)]), rel=1e-12
    )
    # Equation 8 of the paper.
    right = 1 - wrong.mean()
    auroc = roc_auc_score(wrong, scores)
    expected = (1 - auroc) * right * (1 - right) + (1 - right) ** 2 / 2
    assert got == pytest.approx(expected, rel=1e-12)


def test_augrc_with_ties_is_the_mean_over_all_orders():
    scores = np.array([0, 1, 1, 1, 1, 2, 2], np.float32)
    wrong = np.array([0, 1, 0, 0, 1, 1, 0], bool)
    areas = [
        loop_augrc([wrong[0], *middle, *last])
        for middle in itertools.permutations(wrong[1:5])
        for last in itertools.permutations(wrong[5:])
    ]
    assert augrc(counted(scores, wrong)) == pytest.approx(np.mean(areas))
    assert math.isnan(augrc(RankingCounts()))


def test_risk_among_the_most_certain():
    scores, wrong = sample()
    counts = counted(scores, wrong)
    order = wrong[np.argsort(scores)]
    for share in (0.1, 0.9, 1.0):
        expected = order[: round(share * len(order))].mean()
        assert risk_at(counts, share) == pytest.approx(expected)
    tied = counted(np.zeros(10, np.float32), np.arange(10) < 3)
    assert risk_at(tied, 0.5) == pytest.approx(0.3)
    assert math.isnan(risk_at(RankingCounts(), 0.5))
