"""Features of a data set with the places they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.sampling import (
    PixelReservoir,
    random_keys,
    sample_per_class,
)
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.engine.labels import labels_on_grid, void_of

from .density import StudiedDensity
from .grid import GridMoments, grid_positions

TRAIN, TEST = 0, 1
UNSEEN = 1000  # added to the labels of out-of-distribution pixels


class Pixels(NamedTuple):
    """Pixels of one window or of many, N of them.

    Attributes:
        vectors (Tensor): (N, D), transformed as the density says.
        labels (Tensor): (N,) classes, void, or from ``UNSEEN`` on where the
            out-of-distribution mask is set.
        predicted (Tensor): (N,) classes.
        positions (Tensor): (N, 2) shares of height and width.
        moved (Tensor): (N, 2) the same, moved by a random amount that is
            the same for the whole image, and wrapped around.
        keys (Tensor): (N,) random.
    """

    vectors: Tensor
    labels: Tensor
    predicted: Tensor
    positions: Tensor
    moved: Tensor
    keys: Tensor

    def take(self, indices: Tensor) -> Pixels:
        """Some of them."""
        return Pixels(*(values[indices] for values in self))


class PlaceCollector:
    """Collects features with their places from training and test images.

    Args:
        model (DDUMixin): In eval mode.
        grid (int): The finest grid.
        pixels_per_class (int): Most pixels per class and image for a fit.
        seed (int): Of all choices.

    Attributes:
        density (StudiedDensity): Of the model.
        moments (GridMoments): Of the training pixels, by place.
        moved_moments (GridMoments): The same with the grid moved at random
            from image to image, so that its cells mean nothing. What a grid
            gains or loses on this is not due to places.
        feature_map (tuple[int, int]): Size of the largest feature map seen.
    """

    def __init__(
        self, model: nn.Module, grid: int, pixels_per_class: int, seed: int
    ) -> None:
        self.model = model
        self.density = StudiedDensity(model)
        self.moments = GridMoments(grid, self.density.new_moments)
        self.moved_moments = GridMoments(grid, self.density.new_moments)
        self.pixels_per_class = pixels_per_class
        self.seed = seed
        self.void = void_of(model)
        self.feature_map = (0, 0)

    def training(self, dataset, pair_pixels: int) -> tuple[Pixels, Tensor]:
        """Fill the moments and choose pixels for pairs.

        Args:
            dataset: Items with ``gt_sem_seg``.
            pair_pixels (int): Most pixels of a class that are returned.

        Returns:
            tuple: The pixels, and the numbers of their images.

        Raises:
            ValueError: If no pixel has a label.
        """
        classes = self.density.num_classes
        chosen = [PixelReservoir(pair_pixels) for _ in range(classes)]
        for index in track(range(len(dataset)), 'Training images'):
            for pixels in self._pixels(dataset[index], index, TRAIN):
                pixels = pixels.take(
                    sample_per_class(
                        pixels.labels,
                        self.pixels_per_class,
                        pixels.keys,
                        classes,
                    )
                )
                vectors, labels = pixels.vectors, pixels.labels
                self.moments.update(vectors, labels, pixels.positions)
                self.moved_moments.update(vectors, labels, pixels.moved)
                _offer(chosen, pixels, index)
        samples = [each.sample() for each in chosen if len(each)]
        if not samples:
            raise ValueError(
                'The training images hold no labelled pixel; check the '
                'annotations.'
            )
        *fields, images = (torch.cat(column) for column in zip(*samples))
        return Pixels(*fields), images

    def test(self, dataset, most: int) -> Pixels:
        """A sample of the pixels of each test image (or window), at random.

        Args:
            dataset: Items with ``gt_sem_seg``, and ``gt_ood_map`` if known.
            most (int): Pixels per window.
        """
        parts = []
        for index in track(range(len(dataset)), 'Test images'):
            item = dataset[index]
            _mark_unseen(item['data_samples'])
            for pixels in self._pixels(item, index, TEST):
                where = (pixels.labels != self.void).nonzero().flatten()
                order = pixels.keys[where].argsort()[:most]
                parts.append(pixels.take(where[order]))
        return Pixels(*(torch.cat(column) for column in zip(*parts)))

    def _pixels(self, item: dict, index: int, split: int) -> Iterator[Pixels]:
        offset = random_keys((2,), self.seed, split, index) / (1 << 62)
        image = labelled_image(self.model, item)
        for number, window in enumerate(image.windows(self.model)):
            grid, vectors, predicted = self.density.pixels(window.features)
            self.feature_map = max(self.feature_map, grid, key=_area)
            positions = grid_positions(grid, window.box, image.labels.shape)
            yield Pixels(
                vectors.cpu(),
                labels_on_grid(window.labels, grid).flatten().cpu(),
                predicted.cpu(),
                positions,
                (positions + offset) % 1,
                random_keys(
                    positions.shape[:1], self.seed, split, index, number
                ),
            )


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _mark_unseen(sample) -> None:
    """Tell with the labels where the out-of-distribution mask is set."""
    if 'gt_ood_map' in sample:
        labels = sample.gt_sem_seg.data.long()
        unseen = sample.gt_ood_map.data == 1
        sample.gt_sem_seg.data = labels + UNSEEN * unseen


def _offer(chosen: list[PixelReservoir], pixels: Pixels, index: int) -> None:
    """A tenth of a class's pixels at most from one image: pairs need
    different images."""
    for label in pixels.labels.unique().tolist():
        reservoir = chosen[label]
        own = (pixels.labels == label).nonzero().flatten()
        order = pixels.keys[own].argsort()
        few = pixels.take(own[order[: max(1, reservoir.size // 10)]])
        image = torch.full(few.labels.shape, index)
        reservoir.update(few.keys, *few, image)
