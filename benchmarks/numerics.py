"""Measure the errors that docs/numerics.md states.

Moments against exact integer arithmetic, counters beyond 2**53 against
rational numbers, float32 scores against float64. Takes about three minutes
on one core.
"""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from mmseg_ddu.apis import cli
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts
from mmseg_ddu.core.metrics.patches import trio_at_percentiles
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.metrics.selective_risk import aurc
from mmseg_ddu.core.moments import ClassMoments

DIM, BLOCK, POOL = 8, 4096, 64


def integers(offset: int, spread: int, index: int) -> np.ndarray:
    """A block of correlated integer vectors, (BLOCK, DIM) int64."""
    rng = np.random.default_rng(index)
    mixing = np.random.default_rng(10**6).normal(size=(DIM, DIM))
    noise = rng.normal(size=(BLOCK, DIM)) @ mixing
    return np.rint(offset + spread * noise).astype(np.int64)


class ExactSums:
    """Count, sum and sum of products as integers without limit."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.count = 0
        self.first = np.zeros(DIM, object)
        self.second = np.zeros((DIM, DIM), object)

    def add(self, block: np.ndarray, times: int = 1) -> None:
        centred = block - self.offset  # small, so int64 holds the products
        self.count += times * len(block)
        self.first += times * centred.sum(0).astype(object)
        self.second += times * (centred.T @ centred).astype(object)

    def errors(self, moments: ClassMoments) -> tuple[float, float]:
        """Of the mean in deviations, of the scatter relative to them."""
        exact = np.empty((DIM, DIM))
        mean = np.empty(DIM)
        for i in range(DIM):
            at = Fraction(float(moments.means[0, i])) - self.offset
            mean[i] = at - Fraction(self.first[i], self.count)
            for j in range(DIM):
                product = Fraction(self.first[i] * self.first[j], self.count)
                value = self.second[i, j] - product
                got = Fraction(float(moments.scatters[0, i, j]))
                exact[i, j] = value
                moments.scatters[0, i, j] = float(got - value)
        size = np.sqrt(exact.diagonal())
        deviation = size / np.sqrt(self.count)
        wrong = moments.scatters[0].numpy() / np.outer(size, size)
        assert int(moments.counts[0]) == self.count
        return np.abs(mean / deviation).max(), np.abs(wrong).max()


def streamed(offset: int, spread: int, dtype: torch.dtype) -> None:
    """Every vector through ``update``."""
    exact, moments = ExactSums(offset), ClassMoments(1, DIM)
    labels = torch.zeros(BLOCK, dtype=torch.long)
    for index in track(range(1000), 'streaming', transient=True):
        block = integers(offset, spread, index)
        exact.add(block)
        moments.update(torch.from_numpy(block).to(dtype), labels)
    show(f'update, mean {offset:g}, {dtype}', exact, moments)


def merged(offset: int, spread: int, merges: int) -> None:
    """Blocks of a pool merged again and again."""
    exact, moments = ExactSums(offset), ClassMoments(1, DIM)
    labels = torch.zeros(BLOCK, dtype=torch.long)
    pool = []
    for index in range(POOL):
        block = integers(offset, spread, index)
        share = len(range(index, merges, POOL))
        exact.add(block, share)
        part = torch.from_numpy(block).double()
        pool.append(ClassMoments(1, DIM).update(part, labels))
    for index in track(range(merges), 'merging', transient=True):
        moments.merge(pool[index % POOL])
    show(f'{merges} merges, mean {offset:g}', exact, moments)


def show(name: str, exact: ExactSums, moments: ClassMoments) -> None:
    mean, scatter = exact.errors(moments)
    print(
        f'| moments: {name} | {exact.count:.2e} | '
        f'mean {mean:.1e}, scatter {scatter:.1e} |',
        flush=True,
    )


def counters(doublings: int) -> None:
    """The same pixels 2**doublings times, against rational numbers."""
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(1001, generator=rng)
    wrong = torch.rand(1001, generator=rng) < scores.sigmoid()
    counts, exact = RankingCounts(), RankingCounts()
    logits = torch.randn(5, 1001, generator=rng)
    labels = torch.randint(0, 5, (1001,), generator=rng)
    calibration = CalibrationCounts()
    calibration.update(logits, labels)
    few = [calibration.ece(), calibration.nll(), calibration.brier()]
    counts.update(scores, wrong)
    exact.update(scores, wrong)
    once = trio_at_percentiles(exact, torch.tensor([90.0])).pavpu
    for _ in range(doublings):
        counts.merge(counts)
        calibration.merge(calibration)
    many = [calibration.ece(), calibration.nll(), calibration.brier()]
    trio = trio_at_percentiles(counts, torch.tensor([90.0])).pavpu
    table = [[int(v) for v in row] for row in exact.counts]
    factor = 2**doublings
    errors = dict(
        AUROC=relative(counts.auroc(), exact_auroc(table)),
        AUPR=relative(counts.aupr(), exact_aupr(table)),
        AURC=relative(aurc(counts), exact_aurc(table, factor)),
        PAvPU=abs(float(trio - once)),
        calibration=max(abs(a / b - 1) for a, b in zip(many, few)),
    )
    number = counts.num_negatives + counts.num_positives
    assert number == calibration.num_pixels == 1001 * factor
    text = ', '.join(f'{key} {value:.1e}' for key, value in errors.items())
    print(f'| counters | {number:.2e} | {text} |', flush=True)


def relative(got: float, exact: Fraction) -> float:
    return float(abs(Fraction(got) / exact - 1))


def exact_auroc(table: list[list[int]]) -> Fraction:
    area, below = Fraction(0), 0
    for negative, positive in table:
        area += positive * (below + Fraction(negative, 2))
        below += negative
    return area / below / sum(row[1] for row in table)


def exact_aupr(table: list[list[int]]) -> Fraction:
    area, positives, number = Fraction(0), 0, 0
    for negative, positive in reversed(table):
        positives += positive
        number += negative + positive
        area += positive * Fraction(positives, number)
    return area / positives


def exact_aurc(table: list[list[int]], factor: int) -> Fraction:
    """The closed form of ``aurc`` in 60 digits."""
    mpmath.mp.dps = 60
    area, before, errors = mpmath.mpf(0), 0, 0
    for right, wrong in table:
        size, more = factor * (right + wrong), factor * wrong
        rate = mpmath.mpf(more) / size
        harmonic = mpmath.digamma(before + size + 1)
        harmonic -= mpmath.digamma(before + 1)
        area += more + (errors - rate * before) * harmonic
        before, errors = before + size, errors + more
    value = area / before
    return Fraction(int(value * 10**50), 10**50)


def scoring(name: str, features: Tensor, labels: Tensor, **options) -> None:
    """float32 scores of float32 features against float64."""
    classes, dim = int(labels.max()) + 1, features.shape[1]
    models = [
        GaussianDensity(classes, dim, **options).to(dtype)
        for dtype in (torch.float32, torch.float64)
    ]
    moments = models[0].new_moments().update(features, labels)
    for model in models:
        model.fit_moments(moments)
    some = features[:4000]
    single = models[0].score_samples(some).double()
    exact = models[1].log_prob(some.double()) - math.log(classes)
    exact = exact.logsumexp(1)
    error = (single - exact).abs()
    print(
        f'| scores: {name} | {exact.std():.3g} | '
        f'median {error.median():.1e}, largest {error.max():.1e} nats |',
        flush=True,
    )


def gaussians(dim: int, separation: float, mean: float) -> tuple:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(20000) % 4
    centers = separation * torch.randn(4, dim, generator=rng)
    mixing = torch.randn(dim, dim, generator=rng) / dim**0.5
    noise = torch.randn(20000, dim, generator=rng) @ mixing
    return noise + centers[labels] + mean, labels


def main() -> None:
    cli.parser(__doc__, 'python -m benchmarks.numerics').parse_args()
    print(
        '| what | vectors or pixels | relative errors |\n| --- | --- | --- |'
    )
    streamed(0, 100, torch.float32)
    streamed(30_000, 10, torch.float32)
    streamed(10**8, 10, torch.float64)
    for offset in (0, 10**8):
        merged(offset, 10, 250_000)
    for doublings in (0, 22, 45, 53):
        counters(doublings)
    print('\n| what | their deviation | error |\n| --- | --- | --- |')
    for kind in ('full', 'tied', 'diag'):
        data = gaussians(256, 1, 3)
        scoring(f'{kind}, D = 256', *data, covariance_type=kind)
    scoring('rank 64 of 256', *gaussians(256, 1, 3), rank=64)
    for mean in (1e2, 1e4):
        data = gaussians(256, 1, mean)
        scoring(f'mean {mean:g} deviations', *data)
    for separation in (1e2, 1e4):
        data = gaussians(256, separation, 0)
        scoring(f'classes {separation:g} deviations apart', *data)


if __name__ == '__main__':
    main()
