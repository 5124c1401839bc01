"""Features of a data set with the places they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.location import GridMoments, grid_positions
from mmseg_ddu.core.sampling import (
    PixelReservoir,
    random_keys,
    sample_per_class,
)
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.models.presets import PREDICTED
from mmseg_ddu.models.views import View

from .features import LabelledWindow, labelled_windows
from .labels import labels_on_grid

TRAIN, TEST = 0, 1


class Pixels(NamedTuple):
    """The pixels of one window, N of them.

    Attributes:
        vectors (Tensor): (N, D), transformed as the view says.
        labels (Tensor): (N,) classes and void.
        ood (Tensor): (N,) 0, 1 or void.
        predicted (Tensor): (N,) classes.
        positions (Tensor): (N, 2) shares of height and width.
        moved (Tensor): (N, 2) the same, moved by a random amount that is
            the same for the whole image, and wrapped around.
        keys (Tensor): (N,) random.
    """

    vectors: Tensor
    labels: Tensor
    ood: Tensor
    predicted: Tensor
    positions: Tensor
    moved: Tensor
    keys: Tensor

    def take(self, indices: Tensor) -> Pixels:
        """Some of them, on the CPU."""
        return Pixels(*(v[indices.to(v.device)].cpu() for v in self))


class PlaceCollector:
    """Collects features with their places from training and test images.

    Args:
        model (DDUMixin): In eval mode; the first view of its density head is
            what is studied.
        grid (int): The finest grid.
        pixels_per_class (int): Most pixels per class and image for a fit.
        seed (int): Of all choices.

    Attributes:
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
        self.view: View = model.gda_head.views[0]
        density = self.view.density
        shape = (
            density.num_classes,
            density.num_features,
            density.needs_diagonal_only,
        )
        self.moments = GridMoments(grid, *shape)
        self.moved_moments = GridMoments(grid, *shape)
        self.num_classes = density.num_classes
        self.pixels_per_class = pixels_per_class
        self.seed = seed
        self.void = last_decode_head(model).ignore_index
        self.feature_map = (0, 0)

    def _pixels(self, item: dict, index: int, split: int) -> Iterator[Pixels]:
        offset = random_keys((2,), self.seed, split, index) / (1 << 62)
        windows = labelled_windows(self.model, item, self.void)
        for number, window in enumerate(windows):
            feature = window.features[self.view.tap]
            grid = tuple(feature.shape[2:])
            self.feature_map = max(
                self.feature_map, grid, key=lambda size: size[0] * size[1]
            )
            positions = grid_positions(grid, window.box, window.size)
            yield Pixels(
                self.view.vectors(feature),
                labels_on_grid(window.labels, grid).flatten(),
                self._ood(window, grid),
                window.features[PREDICTED].flatten(),
                positions,
                (positions + offset) % 1,
                random_keys(
                    positions.shape[:1], self.seed, split, index, number
                ),
            )

    def _ood(self, window: LabelledWindow, grid: tuple) -> Tensor:
        labels = labels_on_grid(window.labels, grid)
        ood = torch.where(labels == self.void, self.void, 0)
        if window.ood is not None:
            ood[labels_on_grid(window.ood, grid) == 1] = 1
        return ood.flatten()

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
        chosen = [PixelReservoir(pair_pixels) for _ in range(self.num_classes)]
        for index in track(range(len(dataset)), 'Training images'):
            for pixels in self._pixels(dataset[index], index, TRAIN):
                where = sample_per_class(
                    pixels.labels.cpu(),
                    self.pixels_per_class,
                    pixels.keys,
                    self.num_classes,
                )
                pixels = pixels.take(where)
                for moments, places in (
                    (self.moments, pixels.positions),
                    (self.moved_moments, pixels.moved),
                ):
                    moments.update(pixels.vectors, pixels.labels, places)
                self._offer(chosen, pixels, index)
        samples = [r.sample() for r in chosen if len(r)]
        if not samples:
            raise ValueError(
                'The training images hold no labelled pixel; check the '
                'annotations.'
            )
        *fields, images = (torch.cat(column) for column in zip(*samples))
        return Pixels(*fields), images

    def _offer(
        self, chosen: list[PixelReservoir], pixels: Pixels, index: int
    ) -> None:
        """A tenth of a class's pixels at most from one image: pairs need
        different images."""
        for label in pixels.labels.unique().tolist():
            reservoir = chosen[label]
            own = (pixels.labels == label).nonzero().flatten()
            order = pixels.keys[own].argsort()
            few = pixels.take(own[order[: max(1, reservoir.size // 10)]])
            image = torch.full(few.labels.shape, index)
            reservoir.update(few.keys, *few, image)

    def test(self, dataset, most: int) -> Pixels:
        """A sample of the pixels of each test image (or window), at random.

        Args:
            dataset: Items with ``gt_sem_seg``, and ``gt_ood_map`` if known.
            most (int): Pixels per window.
        """
        parts = []
        for index in track(range(len(dataset)), 'Test images'):
            for pixels in self._pixels(dataset[index], index, TEST):
                where = (pixels.ood.cpu() != self.void).nonzero().flatten()
                order = pixels.keys[where].argsort()[:most]
                parts.append(pixels.take(where[order]))
        return Pixels(*(torch.cat(column) for column in zip(*parts)))
