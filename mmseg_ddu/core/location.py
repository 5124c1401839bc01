"""Does it matter where in the image a feature comes from?

DDU for segmentation shares one set of Gaussians between all positions,
because features of one class look alike wherever they are (Mukhoti et al.,
arXiv 2111.00079). Here is what it takes to check that: similarities of pairs
of features by distance, densities per cell of a grid, and their memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .moments import ClassMoments
from .ranking import RankingCounts

SAME_IMAGE, OTHER_IMAGE, OTHER_CLASS = range(3)
KINDS = ('same class, same image', 'same class, other image', 'other class')


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

    Example:
        >>> grid_positions((1, 2), (0, 4, 4, 8), (4, 8))
        tensor([[0.5000, 0.6250],
                [0.5000, 0.8750]])
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


def gaussian_numbers(
    num_classes: int, num_features: int, covariance_type: str = 'full'
) -> int:
    """Numbers in one set of class Gaussians: means and covariances.

    Args:
        num_classes (int): C.
        num_features (int): D.
        covariance_type (str): ``full``, ``tied`` or ``diag``.

    Example:
        >>> gaussian_numbers(21, 256) * 4 / 1e6  # one set, float32, MB
        5.526528
    """
    covariances = {
        'full': num_classes * num_features**2,
        'tied': num_features**2,
        'diag': num_classes * num_features,
    }
    return num_classes * num_features + covariances[covariance_type]


class GridMoments:
    """Class moments for each cell of a grid over the image.

    Moments of every coarser grid that divides it follow by merging, without
    another pass. Memory is ``grid**2`` times that of :class:`ClassMoments`;
    a cell takes its own when the first vector comes.

    Args:
        grid (int): Cells along each side.
        num_classes (int): C.
        num_features (int): D.
        diagonal (bool): Keep only the diagonals of the scatter matrices.
    """

    def __init__(
        self,
        grid: int,
        num_classes: int,
        num_features: int,
        diagonal: bool = False,
    ) -> None:
        if grid < 1:
            raise ValueError(
                f'Expected grid to be at least 1, but got {grid}.'
            )
        self.grid = grid
        self.shape = (num_classes, num_features, diagonal)
        self.cells: dict[int, ClassMoments] = {}

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
                self.cells[cell] = ClassMoments(*self.shape)
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
                merged[coarse] = ClassMoments(*self.shape)
            merged[coarse].merge(moments)
        return merged


@dataclass
class PairSimilarities:
    """What :func:`pair_similarities` returns; bins run over distance.

    Attributes:
        edges (Tensor): (B + 1,) of the bins, in shares of the image's sides.
        counts (Tensor): (C, 3, B) pairs whose first member is of class c, by
            kind (see ``KINDS``).
        means (Tensor): (C, 3, B) mean cosine; NaN without a pair.
        stds (Tensor): (C, 3, B) standard deviation.
        separability (Tensor): (C,) AUROC of telling pairs of the class from
            different images from pairs with another class; NaN if one side
            is missing.
    """

    edges: Tensor
    counts: Tensor
    means: Tensor
    stds: Tensor
    separability: Tensor


def pair_similarities(
    features: Tensor,
    labels: Tensor,
    positions: Tensor,
    images: Tensor,
    edges: Sequence[float],
    num_classes: int,
) -> PairSimilarities:
    """Cosine similarity of all pairs of features, by class and distance.

    Costs N² D multiply-adds; memory is that of one pair of classes.

    Args:
        features (Tensor): (N, D); subtract the mean of all features first
            for centred cosines, which are far more telling: behind a ReLU
            all features point the same way.
        labels (Tensor): (N,) classes.
        positions (Tensor): (N, 2) shares of height and width.
        images (Tensor): (N,) numbers of the images.
        edges (Sequence[float]): Of the distance bins, rising. Pairs outside
            them are not counted.
        num_classes (int): C.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=1)
    bounds = torch.tensor(edges, dtype=torch.float32)
    bins = len(edges) - 1
    sums = torch.zeros(3, num_classes, 3, bins, dtype=torch.float64)
    ranking = [RankingCounts() for _ in range(num_classes)]
    members = [
        (labels == label).nonzero().flatten() for label in range(num_classes)
    ]
    for first, rows in enumerate(members):
        for second, columns in enumerate(members):
            if not len(rows) or not len(columns):
                continue
            cosine = unit[rows] @ unit[columns].T
            distance = torch.cdist(positions[rows], positions[columns])
            kind = torch.full(cosine.shape, OTHER_CLASS)
            if first == second:
                same = images[rows][:, None] == images[columns]
                kind = torch.where(same, SAME_IMAGE, OTHER_IMAGE)
            where = torch.bucketize(distance, bounds, right=True) - 1
            counted = (where >= 0) & (where < bins)
            if first == second:  # not with itself
                counted.fill_diagonal_(False)
            slot = (kind * bins + where)[counted]
            values = cosine[counted].double()
            for power, total in enumerate(sums):
                total[first].view(-1).index_add_(0, slot, values**power)
            usable = counted & (kind != SAME_IMAGE)
            ranking[first].update(
                cosine[usable], (kind == OTHER_IMAGE)[usable]
            )
    counts, total, squares = sums
    means = total / counts
    stds = (squares / counts - means.square()).clamp_min(0).sqrt()
    return PairSimilarities(
        bounds, counts.long(), means, stds, _separability(ranking)
    )


def _separability(ranking: list[RankingCounts]) -> Tensor:
    return torch.tensor(
        [
            counts.auroc()
            if counts.num_positives and counts.num_negatives
            else float('nan')
            for counts in ranking
        ]
    )
