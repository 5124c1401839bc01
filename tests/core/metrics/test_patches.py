"""PAvPU against the paper's example and loops over windows."""

import numpy as np
import pytest
import torch

from mmseg_ddu.core.metrics.patches import PatchCounts, trio_at_percentiles
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts

# Figure 2 of arXiv 1811.12709.
EXAMPLE = dict(
    scores=[
        [0.1, 0.3, 0.6, 0.3],
        [0.7, 0.6, 0.2, 0.1],
        [0.2, 0.4, 0.5, 0.3],
        [0.1, 0.7, 0.6, 0.2],
    ],
    labels=[[1, 2, 5, 7], [6, 4, 3, 3], [10, 9, 5, 0], [8, 6, 4, 4]],
    predicted=[[1, 2, 4, 7], [5, 6, 3, 3], [10, 9, 4, 0], [8, 7, 3, 4]],
)


def image(seed=0, shape=(23, 30)):
    rng = np.random.default_rng(seed)
    right = rng.random(shape) < 0.7
    scores = rng.normal(size=shape) - 2 * right - 900
    known = rng.random(shape) < 0.8
    known[:9, :9] = False  # some windows hold nothing else
    return scores.astype(np.float32), right, known


def loop_windows(scores, right, known, size, accuracy, void_inaccurate):
    """(mean uncertainty, accurate) of each window, one at a time."""
    found = []
    for top in range(0, scores.shape[0], size):
        for left in range(0, scores.shape[1], size):
            window = np.s_[top : top + size, left : left + size]
            keep = known[window]
            good = right[window] & keep
            if void_inaccurate:
                keep = np.ones_like(keep)
            if keep.any():
                mean = scores[window][keep].astype(np.float64).mean()
                found.append((mean, good[keep].mean() > accuracy))
    means, accurate = zip(*found)
    return np.array(means, np.float32), np.array(accurate)


def loop_trio(means, accurate, threshold):
    n = dict(ac=0, au=0, ic=0, iu=0)
    for mean, good in zip(means, accurate):
        n[('a' if good else 'i') + ('u' if mean > threshold else 'c')] += 1
    certain, wrong = n['ac'] + n['ic'], n['ic'] + n['iu']
    return (
        n['ac'] / certain if certain else np.nan,
        n['iu'] / wrong if wrong else np.nan,
        (n['ac'] + n['iu']) / len(means),
    )


def counted(*images, **options):
    counts = PatchCounts(bits=32, **options)
    for arrays in images:
        counts.update(*map(torch.tensor, arrays))
    return counts


@pytest.mark.parametrize('bits', [22, 32])
def test_worked_example(bits):
    counts = PatchCounts(size=2, accuracy=0.5, bits=bits)
    right = torch.tensor(EXAMPLE['labels']) == torch.tensor(
        EXAMPLE['predicted']
    )
    counts.update(torch.tensor(EXAMPLE['scores']), right)
    # The third of four windows has a mean of 0.4.
    assert trio_at_percentiles(counts.windows, 70).pavpu.tolist() == [0.75]


@pytest.mark.parametrize('size', [1, 2, 4, 7])
@pytest.mark.parametrize('void_inaccurate', [False, True])
def test_against_loops(size, void_inaccurate):
    options = dict(size=size, accuracy=0.6, void_inaccurate=void_inaccurate)
    images = [image(0), image(1, (12, 17))]
    counts = counted(*images, **options)
    parts = [loop_windows(*arrays, **options) for arrays in images]
    means, accurate = (np.concatenate(column) for column in zip(*parts))
    assert int(counts.windows.counts.sum()) == len(means)
    ordered, last = np.sort(means), len(means) - 1
    hundred = np.arange(1, 101)
    for chosen, percentiles in (
        (None, hundred),
        (torch.tensor([0.0, 0.5, 99.5]), np.array([0, 0.5, 99.5])),
    ):
        got = trio_at_percentiles(counts.windows, chosen)
        assert len(got.pavpu) == len(percentiles)
        expected = [
            loop_trio(means, accurate, ordered[int(p * last // 100)])
            for p in percentiles
        ]
        np.testing.assert_allclose(np.stack(got, 1), expected)


def test_merging_is_pooling():
    one = counted(image(0))
    one.merge(counted(image(1)))
    both = counted(image(0), image(1))
    found, expected = map(trio_at_percentiles, (one.windows, both.windows))
    for a, b in zip(found, expected):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match='void_inaccurate'):
        one.merge(counted(size=2))


def test_pixel_level_from_ranking_counts():
    scores, right, known = map(torch.tensor, image())
    counts = RankingCounts(bits=32)
    counts.update(scores[known], ~right[known])
    expected = trio_at_percentiles(counted(image(), size=1).windows)
    for a, b in zip(trio_at_percentiles(counts), expected):
        assert torch.equal(a, b)


def test_extremes():
    """At percentile 100 all is certain, and p(a|c) is the accuracy."""
    scores, right, _ = image()
    counts = counted((scores, right), size=1)
    last = [float(curve[-1]) for curve in trio_at_percentiles(counts.windows)]
    assert last == pytest.approx([right.mean(), 0, right.mean()])
    perfect = counted((-right.astype(np.float32), right), size=1)
    assert trio_at_percentiles(perfect.windows, 50).pavpu.tolist() == [1.0]
    nothing = trio_at_percentiles(PatchCounts().windows, torch.tensor([50]))
    assert all(curve.isnan().all() for curve in nothing)


def test_void_scores_may_be_anything():
    scores, right, known = image()
    expected = trio_at_percentiles(counted((scores, right, known)).windows)
    scores[~known] = np.nan
    got = trio_at_percentiles(counted((scores, right, known)).windows)
    assert torch.equal(got.pavpu, expected.pavpu)


def test_bad_input():
    with pytest.raises(ValueError, match='size'):
        PatchCounts(size=0)
    with pytest.raises(ValueError, match='accuracy'):
        PatchCounts(accuracy=1.0)
    with pytest.raises(ValueError, match='one shape'):
        PatchCounts().update(torch.rand(3, 4), torch.ones(4, 3).bool())
    with pytest.raises(ValueError, match='percentiles'):
        trio_at_percentiles(counted(image()).windows, torch.tensor([101.0]))
