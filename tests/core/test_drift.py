"""Detectors of drift: against loops, and against their stated rate."""

import json

import numpy as np
import pytest
from scipy.integrate import quad

from mmseg_ddu.core.drift import KEPT, POWERS, DriftDetector


def detector(ordinary, rate=0.01, weights=None, seed=0):
    weights = weights or [1.0] * ordinary.shape[1]
    return DriftDetector(weights, rate, ordinary, seed)


def sum_over_starts(ranks):
    """The detector by its definition, R = sum of products since s.

    Args:
        ranks: How many are higher, of how many.
    """
    total = 0.0
    lower = [(n - k, n) for k, n in ranks]
    for bets in (ranks, lower):
        for power in POWERS:
            for start in range(len(ranks)):
                gain = 1.0
                for k, n in bets[start:]:
                    payoff = quad(
                        lambda p, power=power: power * p ** (power - 1),
                        k / (n + 1),
                        (k + 1) / (n + 1),
                    )
                    gain *= (n + 1) * payoff[0]
                total += gain
    return total / (2 * len(POWERS))


def test_the_detector_is_the_sum_over_all_starts():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(40, 2))
    one = detector(rows, rate=1e-9, weights=[3, 1])
    history = []
    for _ in range(12):
        values = rng.normal(size=2) + 1
        higher = [sum(row[k] > values[k] for row in rows) for k in range(2)]
        history.append([(k, len(rows)) for k in higher])
        rows = [*rows, values]
        step = one.update(values)
        for k, share in enumerate((0.75, 0.25)):
            expected = sum_over_starts([ranks[k] for ranks in history])
            assert step.level[k] == pytest.approx(expected * 1e-9 * share)
            p = (higher[k] + 0.5) / len(rows)
            assert step.p[k] == pytest.approx(p)


def test_a_rank_of_ones_own():
    one, two = (detector(np.arange(9.0)[:, None]) for _ in range(2))
    step = one.update(np.array([6.5]))  # two of nine are higher
    other = two.update(np.array([0.0]), {0: (2, 9)})
    assert step.p == other.p == 0.25
    assert step.level == other.level


def test_ranks_are_uniform_and_independent_of_a_small_reference():
    """Also with ties, and where rows are forgotten."""
    pairs = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = rng.poisson(1, (9, 1)).astype(float)
        one = detector(values[:4], seed=seed)
        one.kept = 5
        p = [one.update(value).p[0] for value in values[4:]]
        assert len(one.rows) == 5
        assert len(np.unique(one.rows)) == 5
        pairs += zip(p[1:], p[2:])  # of six places each
    table, *_ = np.histogram2d(*np.transpose(pairs), 6, [[0, 1], [0, 1]])
    expected = len(pairs) / 36
    assert ((table - expected) ** 2 / expected).sum() < 66.6  # 1 in 1,000


@pytest.mark.parametrize('reference', [0, 5, 100])
def test_false_alarms_are_within_the_stated_rate(reference):
    """Three dependent statistics; the bound is on the mean of all runs."""
    rate, length, runs = 0.02, 250, 60
    alarms = 0
    for seed in range(runs):
        rng = np.random.default_rng([7, seed])
        drawn = rng.normal(size=(reference + length, 1)) * np.ones((1, 3))
        drawn[:, 1] = np.exp(-drawn[:, 0])
        drawn[:, 2] = (drawn[:, 2] > 1.5).astype(float)
        one = detector(drawn[:reference], rate, [2, 1, 1], seed)
        steps = [one.update(values) for values in drawn[reference:]]
        alarms += sum(len(step.alarms) for step in steps)
    assert alarms / (runs * length) <= rate
    assert alarms > 0  # the bound is not met by never speaking


@pytest.mark.parametrize('change', [-1.5, 1.5])
def test_a_change_is_found_soon_named_and_dated(change):
    delays, onsets = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(500, 2))
        values[300:, 1] += change
        one = detector(values[:100], rate=0.001, seed=seed)
        for number, row in enumerate(values[100:]):
            step = one.update(row)
            if step.alarms and number >= 200:
                break
        assert step.alarms == [1]
        assert step.rose == [change > 0]
        onsets.append(step.since[0])
        assert one.detector[1].max() == 0  # it begins again
        assert one.detector[0].max() > 0
        delays.append(number - 200)
    assert np.mean(delays) < 30
    assert 190 <= np.median(onsets) <= 205


def test_state_goes_through_json():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 2))
    values[30] = np.nan
    whole, first = detector(values[:20]), detector(values[:20])
    for row in values[20:40]:
        whole.update(row)
        first.update(row)
    second = detector(values[:20])
    second.load_state(json.loads(json.dumps(first.state())))
    for row in values[40:]:
        expected, got = whole.update(row), second.update(row)
        assert all(
            np.array_equal(a, b) for a, b in zip(expected, got, strict=True)
        )


def test_a_state_of_something_else_is_refused():
    one = detector(np.zeros((3, 2)))
    state = one.state()
    for name, value in [
        ('rows', [[1.0, 2.0, 3.0]]),
        ('detector', state['detector'][:1]),
        ('winnings', [[[float('nan')] * 4] * 2] * 2),
        ('start', [[[1] * 4] * 2] * 2),
    ]:
        with pytest.raises(ValueError):
            one.load_state({**state, name: value})


def test_what_is_no_number_is_the_highest():
    one = detector(np.arange(99.0)[:, None])
    assert one.update(np.array([np.nan])).p[0] <= 0.01
    assert one.update(np.array([-np.inf])).p[0] >= 0.99


def test_memory_is_bounded():
    one = detector(np.zeros((0, 1)))
    for number in range(KEPT + 50):
        one.update(np.array([float(number % 7)]))
    assert len(one.rows) == KEPT


def test_bad_arguments():
    for arguments in [
        ([], 0.1, np.zeros((1, 0))),
        ([1, -1], 0.1, np.zeros((1, 2))),
        ([1], 0.0, np.zeros((1, 1))),
        ([1], 0.1, np.zeros((1, 2))),
    ]:
        with pytest.raises(ValueError, match='Expected'):
            DriftDetector(*arguments)
    with pytest.raises(ValueError, match='Expected 1 values'):
        detector(np.zeros((1, 1))).update(np.zeros(2))
