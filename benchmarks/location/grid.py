"""Places in an image, and moments for each cell of a grid over it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_ddu.core.moments import ClassMoments


def grid_positions(
    grid: tuple[int, int],
    window: tuple[int, int, int, int],
    size: tuple[int, int],
) -> Tensor:
    """Centres of the cells of a feature map in the image it belongs to.

    Args:
        grid (tuple[int, int]): Height and width of the feature map.
        window (tuple[int, int, int, int]): ``(y1, y2, x1, x2)`` of the part
            of the image that the map shows, in pixels.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        Tensor: (h w, 2) as shares of height and width, in (0, 1).
    """
    axes = []
    for count, start, stop, total in zip(
        grid, window[::2], window[1::2], size
    ):
        centers = (torch.arange(count) + 0.5) / count
        axes.append((start + centers * (stop - start)) / total)
    return torch.cartesian_prod(*axes)


def cell_of(positions: Tensor, grid: int) -> Tensor:
    """Number of the cell of a grid x grid partition, (N, 2) -> (N,)."""
    row, column = (positions * grid).long().clamp(0, grid - 1).unbind(1)
    return row * grid + column


class GridMoments:
    """Class moments for each cell of a grid over the image.

    Moments of every coarser grid that divides it follow by merging, without
    another pass. A cell takes memory when the first vector comes.

    Args:
        grid (int): Cells along each side.
        new_moments (Callable): Gives empty moments.
    """

    def __init__(
        self, grid: int, new_moments: Callable[[], ClassMoments]
    ) -> None:
        self.grid = grid
        self.cells: dict[int, ClassMoments] = {}
        self._new = new_moments

    def update(
        self, features: Tensor, labels: Tensor, positions: Tensor
    ) -> None:
        """Add vectors.

        Args:
            features (Tensor): (N, D).
            labels (Tensor): (N,) integers; void is ignored.
            positions (Tensor): (N, 2), see :func:`grid_positions`.
        """
        cells = cell_of(positions, self.grid)
        for cell in cells.unique().tolist():
            chosen = cells == cell
            if cell not in self.cells:
                self.cells[cell] = self._new()
            self.cells[cell].update(features[chosen], labels[chosen])

    def coarsened(self, grid: int) -> dict[int, ClassMoments]:
        """Moments per cell of a coarser grid; cells never seen are missing.

        Raises:
            ValueError: If the grid does not divide this one.
        """
        if grid < 1 or self.grid % grid:
            raise ValueError(
                f'Expected a grid that divides {self.grid}, but got {grid}.'
            )
        if grid == self.grid:
            return self.cells
        factor = self.grid // grid
        merged: dict[int, ClassMoments] = {}
        for cell, moments in self.cells.items():
            row, column = divmod(cell, self.grid)
            coarse = row // factor * grid + column // factor
            if coarse not in merged:
                merged[coarse] = self._new()
            merged[coarse].merge(moments)
        return merged
