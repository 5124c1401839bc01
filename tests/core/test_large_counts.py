"""Nothing overflows or drifts at 10**9 pixels and far beyond."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch

from mmseg_ddu.core import ClassMoments
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts
from mmseg_ddu.core.metrics.patches import trio_at_percentiles
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.metrics.selective_risk import augrc, aurc

DIM = 3


def blocks(number, offset, size=1000):
    rng = np.random.default_rng(0)
    shape = (number, size, DIM)
    return offset + rng.integers(-100, 100, shape)


def assert_exact(moments, parts, times, offset, tolerance):
    """Against integers and rational numbers, in units of the spread."""
    count = sum(times) * parts.shape[1]
    centred = parts - offset
    pairs = list(zip(centred, times))
    sums = sum(b.sum(0).astype(object) * n for b, n in pairs)
    squares = sum((b.T @ b).astype(object) * n for b, n in pairs)
    assert float(moments.counts[0]) == pytest.approx(count, rel=1e-15)
    for i in range(DIM):
        mean = Fraction(float(moments.means[0, i])) - offset
        error = abs(mean - Fraction(sums[i], count))
        assert error < 1e-8 + 3e-15 * offset  # of 16 digits
        for j in range(DIM):
            exact = squares[i, j] - Fraction(sums[i] * sums[j], count)
            got = Fraction(float(moments.scatters[0, i, j]))
            size = max(squares[i, i], squares[j, j])
            assert abs(got - exact) < tolerance * size


@pytest.mark.parametrize('offset', [0, 10**8])
def test_a_million_vectors_against_exact_sums(offset):
    parts = blocks(1000, offset)
    moments = ClassMoments(1, DIM)
    for part in parts:
        moments.update(torch.from_numpy(part).double(), torch.zeros(1000))
    assert_exact(moments, parts, [1] * 1000, offset, 1e-10)


@pytest.mark.parametrize('doublings', [25, 60])
def test_doubled_until_far_beyond_two_to_the_53(doublings):
    """A new block in front of each doubling, so that means differ."""
    offset = 10**6
    parts = blocks(doublings, offset)
    moments, times = ClassMoments(1, DIM), []
    for part in parts:
        moments.update(torch.from_numpy(part).double(), torch.zeros(1000))
        moments.merge(copy.deepcopy(moments))
        times = [2 * n for n in [*times, 1]]
    assert_exact(moments, parts, times, offset, 1e-11)


def test_one_class_of_a_hundred_million_and_one_of_three():
    rng = torch.Generator().manual_seed(0)
    block = torch.randn(4000, 6, generator=rng).double()
    moments = ClassMoments(3, 6).update(block, torch.zeros(4000))
    for _ in range(15):
        moments.merge(copy.deepcopy(moments))
    few = torch.randn(3, 6, generator=rng).double() + 9
    moments.update(few, torch.ones(3))
    assert moments.counts.tolist() == [131072000, 3, 0]
    np.testing.assert_allclose(moments.means[1], few.mean(0))
    for kind in ('full', 'tied', 'diag'):
        for priors in ('uniform', 'empirical'):
            model = GaussianDensity(3, 6, covariance_type=kind, priors=priors)
            if kind == 'tied':
                other = model.new_moments()
                other.counts, other.means = moments.counts, moments.means
                other.scatters = moments.scatters.sum(0, keepdim=True)
            else:
                other = moments
            model.fit_moments(other)
            scores = model.score_samples(torch.cat([block, few]).float())
            assert scores.isfinite().all()
            assert (
                scores[-3:].min()
                > model.score_samples(few.float() + 100).max()
            )


@pytest.mark.parametrize('doublings', [21, 44, 52])
def test_counters(doublings):
    """More than 2**31, 2**53 and 2**60 pixels: the figures stay."""
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(1001, generator=rng)
    wrong = torch.rand(1001, generator=rng) < scores.sigmoid()
    logits = torch.randn(5, 1001, generator=rng)
    labels = torch.randint(0, 5, (1001,), generator=rng)

    def counted():
        ranking, calibration = RankingCounts(), CalibrationCounts()
        ranking.update(scores, wrong)
        calibration.update(logits, labels)
        return ranking, calibration

    def figures(ranking, calibration):
        trio = trio_at_percentiles(ranking)
        return [
            ranking.auroc(),
            ranking.aupr(),
            ranking.fpr_at_tpr(),
            *ranking.best_f1(),
            float(trio.pavpu.mean()),
            calibration.ece(),
            calibration.adaptive_ece(),
            calibration.nll(),
            calibration.brier(),
            augrc(ranking),
        ]

    expected = figures(*counted())
    ranking, calibration = counted()
    for _ in range(doublings):
        ranking.merge(ranking)
        calibration.merge(calibration)
    number = 1001 << doublings
    assert ranking.num_negatives + ranking.num_positives == number
    assert calibration.num_pixels == number
    got = figures(ranking, calibration)
    # Percentiles fall between order statistics of 1001 pixels: 1e-3.
    np.testing.assert_allclose(got[:5], expected[:5], rtol=1e-14)
    assert got[5] == pytest.approx(expected[5], abs=1e-3)
    np.testing.assert_allclose(got[6:], expected[6:], rtol=1e-12)
    # In the limit AURC is an integral in place of a sum.
    few = counted()[0]
    assert aurc(ranking) == pytest.approx(aurc(few), rel=5e-3)


@pytest.mark.parametrize('number', [2**53 + 1, 2**60 - 1, 2**62])
def test_percentiles_of_more_pixels_than_float64_can_count(number):
    counts = RankingCounts()
    counts.update(torch.tensor([1.0]), torch.tensor([False]))
    counts._compact()
    counts._counts[0, 0] = number
    trio = trio_at_percentiles(counts, torch.tensor([0.0, 50.0, 100.0]))
    assert trio.pavpu.tolist() == [1, 1, 1]
