"""256 levels of equal share."""

import numpy as np
import pytest

from mmseg_ddu.apis.html_report.levels import (
    level_bounds,
    level_values,
    to_levels,
)


@pytest.mark.parametrize('percentile', [10, 50, 77, 95])
def test_a_level_is_a_percentile(percentile):
    rng = np.random.default_rng(0)
    maps = [rng.lognormal(size=(90, 110)), -rng.random((40, 70))]
    bounds = level_bounds(maps)
    together = np.concatenate([values.ravel() for values in maps])
    levels = np.concatenate([to_levels(m, bounds).ravel() for m in maps])
    above = together > np.percentile(together, percentile)
    shown = levels >= percentile * 2.56
    assert (above != shown).mean() <= 1 / 256
    assert (np.diff(levels[np.argsort(together)].astype(int)) >= 0).all()


def test_of_equal_values_none_is_above():
    same = np.full((8, 8), 3.0)
    bounds = level_bounds([same])
    assert (to_levels(same, bounds) == 0).all()
    assert level_values(bounds) == [3.0] * 256


def test_infinite_scores_count_as_highest():
    values = np.append(np.arange(1000.0), np.inf)
    bounds = level_bounds([values])
    assert np.isfinite(bounds).all()
    assert to_levels(values, bounds)[-1] == 255
