"""Levels that are fine where scores are rare."""

import numpy as np
import pytest

from mmseg_ddu.apis.html_report.encode import (
    LOST,
    SHARES,
    level_bounds,
    shrink_scores,
    to_levels,
)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.77, 0.95, 0.99, 0.999])
def test_levels_are_percentiles(share):
    rng = np.random.default_rng(0)
    maps = [rng.lognormal(size=(300, 400)), -rng.random((200, 300))]
    bounds = level_bounds(maps)
    together = np.concatenate([values.ravel() for values in maps])
    levels = np.concatenate([to_levels(m, bounds).ravel() for m in maps])
    above = together > np.quantile(together, share)
    shown = levels >= np.searchsorted(np.append(0, SHARES[:-1]), share)
    assert (above != shown).mean() <= 0.1 * (1 - share)
    assert (np.diff(levels[np.argsort(together)].astype(int)) >= 0).all()
    assert levels.max() < LOST


def test_of_equal_values_none_is_above():
    same = np.full((8, 8), 3.0)
    bounds = level_bounds([same])
    assert (to_levels(same, bounds) == 0).all()
    assert bounds.tolist() == [3.0] * 255


def test_pixels_without_a_score_have_their_own_level():
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    values[0, 0] = values[2:, :2] = 1e30
    values[3, 3] = np.nan
    small = shrink_scores(values, (2, 2))
    expected = [[np.mean([1, 4, 5]), 4.5], [np.inf, np.mean([10, 11, 14])]]
    np.testing.assert_allclose(small, expected, rtol=1e-6)
    levels = to_levels(small, level_bounds([small]))
    assert (levels == LOST).tolist() == [[False, False], [True, False]]
    nothing = np.full((2, 2), np.inf)
    assert (to_levels(nothing, level_bounds([nothing])) == LOST).all()
