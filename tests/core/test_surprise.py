"""Percentiles and surprises against numpy."""

import math

import numpy as np
import pytest
import torch

from mmseg_ddu.core.bounds import (
    WORST,
    is_lost,
    lost_to_infinity,
    make_visible,
)
from mmseg_ddu.core.surprise import ORDINARY, Surprise, total_surprise


def lognormal(n=20_000, scale=1.0):
    rng = torch.Generator().manual_seed(0)
    return scale * torch.randn(n, generator=rng).exp()


@pytest.mark.parametrize('near_zero', [False, True])
@pytest.mark.parametrize('scale', [1e-3, 1.0, 1e4])
def test_percentiles_are_numpys(near_zero, scale):
    scores = lognormal(scale=scale)
    surprise = Surprise(near_zero)
    surprise.fit(scores)
    for level in (0.02, 0.3, 0.5, 0.9, 0.95, 0.99, 0.997):
        value = torch.tensor([np.quantile(scores, level)]).float()
        got = surprise.percentile(value)
        assert got.item() == pytest.approx(level, abs=0.004)
        assert surprise(value).item() == pytest.approx(
            -math.log(1 - level), rel=0.05, abs=0.01
        )


def test_the_tail_goes_on():
    """Far away is not all alike, and rises as an exponential would."""
    scores = lognormal()
    surprise = Surprise()
    surprise.fit(scores)
    far = torch.logspace(0, 6, 200)
    values = surprise(far)
    assert (values.diff() >= 0).all()
    beyond = far > scores.max()
    assert (values[beyond].diff() > 0).all()
    assert values[-1] > 2 * surprise(scores.max()[None])
    tail = scores.sort().values[-50:]
    start = tail[0]
    expected = math.log(len(scores) / 50) + 10 / (tail - start).mean()
    assert surprise(start + 10).item() == pytest.approx(
        float(expected), rel=0.02
    )


def test_entropies_of_a_sure_network():
    """Most are far below those of which anybody is in doubt."""
    rng = torch.Generator().manual_seed(0)
    scores = 10 ** (9 * torch.rand(20_000, generator=rng) - 9)
    scores[:2000] = 0
    surprise = Surprise(near_zero=True)
    surprise.fit(scores)
    for level in (0.15, 0.3, 0.5, 0.9, 0.99):
        value = torch.tensor([np.quantile(scores, level)]).float()
        got = surprise.percentile(value)
        assert got.item() == pytest.approx(level, abs=0.004)
    assert surprise.percentile(torch.tensor([-0.1, 0.0])).tolist() == [0, 0]
    low, high = surprise.range()
    assert low == 0 and 0.9 < high < 1


def test_ties_and_constants():
    scores = torch.cat([torch.zeros(600), torch.ones(400)])
    surprise = Surprise()
    surprise.fit(scores)
    got = surprise.percentile(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    assert got[:2].tolist() == [0, 0]
    assert got[2].item() == pytest.approx(0.6, abs=0.01) and got[3] > 0.99
    constant = Surprise()
    constant.fit(torch.full((7,), 3.0))
    assert constant.percentile(torch.tensor([2.0, 3.0])).tolist() == [0, 0]
    assert constant.percentile(torch.tensor([4.0])) == 1


def test_what_is_no_number_is_the_rarest():
    surprise = Surprise()
    surprise.fit(torch.cat([lognormal(), torch.tensor([torch.nan, WORST])]))
    odd = torch.tensor([torch.nan, WORST])
    assert surprise(odd)[0] == torch.inf
    assert surprise.percentile(odd).tolist() == [1, 1]
    with pytest.raises(ValueError, match='finite'):
        surprise.fit(torch.tensor([torch.nan]))


def test_total_is_the_rule():
    a = torch.tensor([0.0, 1.0, 2.0, 0.5])
    e = torch.tensor([0.0, ORDINARY, ORDINARY + 3, torch.inf])
    got = total_surprise(a, e)
    torch.testing.assert_close(got[:3], torch.tensor([0.0, 1.0, 5.0]))
    assert got[3] == torch.inf


def test_lost_on_the_way_and_at_the_end():
    scores = torch.tensor([2.0, torch.inf, -torch.inf, torch.nan, 1e35])
    assert lost_to_infinity(scores).isinf().tolist() == [0, 1, 1, 1, 0]
    seen = make_visible(lost_to_infinity(scores))
    assert is_lost(seen).tolist() == [0, 1, 1, 1, 1]
    assert seen.isfinite().all()
