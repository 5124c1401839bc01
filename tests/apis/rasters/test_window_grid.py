"""Every pixel is kept once, and far enough from the edge of its window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmseg_ddu.apis.rasters.window_grid import (
    GRID,
    check_sizes,
    padded_size,
    tiles,
)

sides = st.integers(1, 500)


@given(sides, sides, st.integers(1, 6), st.integers(0, 5), st.booleans())
def test_every_pixel_is_kept_once(height, width, window, overlap, aligned):
    window, overlap = window * GRID, min(overlap, window - 1) * GRID
    count = np.zeros((height, width), int)
    for tile in tiles(height, width, window, overlap, int(aligned)):
        rows, columns = tile[2:]
        count[rows, columns] += 1
        for size, whole, kept in zip((height, width), tile[:2], tile[2:]):
            assert whole.start % GRID == 0
            assert 0 <= whole.start < whole.stop <= size
            assert whole.stop - whole.start <= window + aligned
            assert kept.start < kept.stop
            if whole.start:  # what neighbours share is split
                assert kept.start - whole.start >= overlap // 2
            if whole.stop < size:
                assert whole.stop - kept.stop >= overlap // 2
        inside = np.zeros([s.stop - s.start for s in tile[:2]])
        assert inside[tile.inside].shape == count[rows, columns].shape
    assert (count == 1).all()


@pytest.mark.parametrize(
    ('size', 'extra', 'expected'),
    [(1, 0, 64), (64, 0, 64), (65, 0, 128), (1, 1, 65), (65, 1, 65)]
    + [(66, 1, 129)],
)
def test_padded_sizes(size, extra, expected):
    assert padded_size(size, extra) == expected


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        ((100, 64), 'window to be a multiple of 64'),
        ((0, 0), 'window to be a multiple'),
        ((128, 32), 'overlap to be a multiple of 64'),
        ((64, -64), 'overlap to be a multiple'),
        ((64, 64), 'overlap to be smaller than the window'),
    ],
)
def test_sizes_that_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        check_sizes(*sizes)
