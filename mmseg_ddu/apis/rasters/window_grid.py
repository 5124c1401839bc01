"""Which windows cover a raster, and what is kept of each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

# Windows begin at multiples of it, so that all see the cells of a network's
# feature grid in the same places: the coarsest grids have a step of 32, and
# a density scores every second cell.
GRID = 64


class Tile(NamedTuple):
    """A window of a raster and its inner part, which is kept.

    Attributes:
        rows, columns (slice): What the network sees.
        kept_rows, kept_columns (slice): Inside; every pixel of the raster is
            in those of one window.
    """

    rows: slice
    columns: slice
    kept_rows: slice
    kept_columns: slice

    @property
    def name(self) -> str:
        """That of its file."""
        return f'{self.rows.start}_{self.columns.start}.tif'

    @property
    def inside(self) -> tuple[slice, slice]:
        """The inner part, within the window."""
        rows, columns = (
            slice(kept.start - whole.start, kept.stop - whole.start)
            for whole, kept in zip(self[:2], self[2:])
        )
        return rows, columns


def check_sizes(window: int, overlap: int) -> None:
    """Refuse windows that are off the grid, or leave nothing to keep.

    Raises:
        ValueError: With what is expected.
    """
    for name, value, least in (('window', window, 1), ('overlap', overlap, 0)):
        if value % GRID or value < least:
            raise ValueError(
                f'Expected {name} to be a multiple of {GRID}, so that all '
                f"windows meet the network's grid alike, but got {value}."
            )
    if overlap >= window:
        raise ValueError(
            f'Expected overlap to be smaller than the window of {window} '
            f'pixels, but got {overlap}.'
        )


def tiles(
    height: int, width: int, window: int, overlap: int, extra: int = 0
) -> Iterator[Tile]:
    """Windows row by row.

    Args:
        height, width (int): Of the raster.
        window, overlap (int): As in :func:`check_sizes`; neighbours share at
            least ``overlap`` pixels and each keeps half of those.
        extra (int): Pixels beyond the grid, see :func:`padded_size`.
    """
    for rows, kept_rows in _spans(height, window, overlap, extra):
        for columns, kept in _spans(width, window, overlap, extra):
            yield Tile(rows, columns, kept_rows, kept)


def _spans(
    size: int, window: int, overlap: int, extra: int
) -> list[tuple[slice, slice]]:
    step, length = window - overlap, window + extra
    last = -(-max(size - length, 0) // GRID) * GRID
    starts = [*range(0, last, step), last]
    whole = [slice(start, min(start + length, size)) for start in starts]
    middles = [(a.stop + b.start) // 2 for a, b in pairwise(whole)]
    return list(zip(whole, map(slice, [0, *middles], [*middles, size])))


def padded_size(size: int, extra: int) -> int:
    """The next size at which a network's grid meets the pixels.

    Args:
        size (int): Of a side in pixels.
        extra (int): 0, or 1 where the corners of both are aligned
            (``align_corners``): then sizes are multiples of the grid and 1.
    """
    return max(-(-(size - extra) // GRID), 1) * GRID + extra
