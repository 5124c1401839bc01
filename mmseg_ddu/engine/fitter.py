"""Collecting features and labels into fitted densities."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.ranking import RankingCounts
from mmseg_ddu.core.sampling import (
    nearest_cells,
    pixels_of,
    random_keys,
    sample_per_class,
)
from mmseg_ddu.core.temperature import fit_temperature
from mmseg_ddu.models.gda_head import GDAHead
from mmseg_ddu.models.presets import LOGITS, PREDICTED
from mmseg_ddu.models.views import View

from .collected import Collected
from .labels import labels_on_grid


class DensityFitter:
    """Streams features into the densities of a head, image by image.

    One pass. The images in ``held_out`` do not enter the densities at first:
    a uniform sample of their pixels is scored by the densities of the other
    images, which gives honest quantiles, and then they are merged in, so
    that no image is lost. Without held-out images the sample comes from all
    images.

    Memory does not grow with the number of images: two sets of moments per
    view and the sample.

    Args:
        head (GDAHead): What is fitted.
        ignore_index (int): Void label.
        pixels_per_class (int, optional): Most pixels of one class taken from
            one image; neighbouring pixels are nearly copies. None takes all.
        held_out (Collection[int]): Images that calibrate.
        calibration_pixels (int): Size of the sample.
        seed (int): The choice of pixels depends on it and on the image's
            number alone, not on order or rank.
        temperature (bool): Fit a temperature for the logits to the
            calibration pixels (Guo et al., ICML 2017).
    """

    def __init__(
        self,
        head: GDAHead,
        ignore_index: int = 255,
        pixels_per_class: int | None = 512,
        held_out: Collection[int] = (),
        calibration_pixels: int = 16384,
        seed: int = 0,
        temperature: bool = False,
    ) -> None:
        self.head = head
        self.temperature = temperature
        self.ignore_index = ignore_index
        self.pixels_per_class = pixels_per_class
        self.held_out = frozenset(held_out)
        self.seed = seed
        self.collected = Collected(head, calibration_pixels)

    @torch.no_grad()
    def update(
        self,
        features: dict[str, Tensor],
        labels: Tensor,
        index: int,
        window: int = 0,
    ) -> None:
        """Add one image, or one window of it.

        Args:
            features (dict[str, Tensor]): Tap name to (1, D, h, w), one grid,
                and ``predicted`` to (1, 1, h, w) classes.
            labels (Tensor): (H, W) of the same field of view, any size.
            index (int): Number of the image in its data set.
            window (int): Number of the window.

        Raises:
            ValueError: If a label is neither a class nor void.
        """
        seen = self.collected
        grid = _grid(features[self.head.taps[0]])
        on_grid = labels_on_grid(labels, grid).flatten()
        self._check_labels(on_grid)
        known = on_grid != self.ignore_index
        seen.images.add(index)
        seen.class_count += torch.bincount(
            on_grid[known], minlength=self.head.num_classes
        ).cpu()
        calibrates = index in self.held_out
        if calibrates or not self.held_out:
            keys = random_keys(on_grid.shape, self.seed, index, window)
            where = known.cpu().nonzero().flatten()
            where = where[keys[where].sort().indices][: seen.reservoir.size]
            kept = self._sample(features, where.to(on_grid.device), grid)
            field = torch.full((len(where),), (index << 16) + window)
            seen.reservoir.update(
                keys[where], *kept, field, on_grid.cpu()[where]
            )

        target = seen.held_moments if calibrates else seen.moments
        chosen: dict[tuple, tuple[Tensor, Tensor]] = {}
        for moments, view in zip(target, self.head.views):
            feature = features[view.tap]
            key = _grid(feature), self._budget(view)
            if key not in chosen:
                chosen[key] = self._choose(labels, *key, index, window)
            view.update(moments, feature, *chosen[key])

    def _budget(self, view: View) -> int | None:
        """Most pixels of one class that a view takes from one image."""
        budgets = (view.pixels_per_class, self.pixels_per_class)
        return min((b for b in budgets if b is not None), default=None)

    def _choose(
        self,
        labels: Tensor,
        grid: tuple[int, int],
        budget: int | None,
        *number: int,
    ) -> tuple[Tensor, Tensor]:
        """Pixels of a grid within the budget, and their classes."""
        on_grid = labels_on_grid(labels, grid).flatten()
        keys = random_keys(on_grid.shape, self.seed, *number)
        chosen = sample_per_class(
            on_grid,
            budget,
            keys.to(on_grid.device),
            self.head.num_classes,
        )
        return chosen, on_grid[chosen]

    def _sample(
        self,
        features: dict[str, Tensor],
        where: Tensor,
        grid: tuple[int, int],
    ) -> list[Tensor]:
        """Vectors of all views and classes at pixels of the first grid."""
        kept = []
        for view in self.head.views:
            feature = features[view.tap]
            cells = nearest_cells(where, grid, _grid(feature))
            kept.append(view.sample(feature, cells))
        predicted = features[PREDICTED]
        cells = nearest_cells(where, grid, _grid(predicted))
        kept.append(predicted.long().flatten()[cells])
        logits = features.get(LOGITS)
        if logits is None:
            return [*kept, torch.zeros(len(cells), 0)]
        return [*kept, pixels_of(logits, cells).float()]

    def _check_labels(self, labels: Tensor) -> None:
        wrong = (labels < 0) | (labels >= self.head.num_classes)
        wrong &= labels != self.ignore_index
        if wrong.any():
            raise ValueError(
                f'Found label {int(labels[wrong][0])} in the annotations, but '
                f'the model has {self.head.num_classes} classes (and '
                f'{self.ignore_index} is void). The data set does not belong '
                'to this checkpoint, or reduce_zero_label or the classes in '
                'metainfo are wrong.'
            )

    def synchronize(self) -> None:
        """Merge what all processes have seen, in each of them."""
        self.collected = self.collected.of_all_ranks()

    def finalize(self) -> dict:
        """Fit the densities, store the quantiles, and say what was done.

        Returns:
            dict: Plain numbers: images, pixels and vectors per class, one
            entry per view, and the calibration with ``mis_AUROC``, how well
            the score ranks misclassified above correct pixels, in percent.

        Raises:
            ValueError: If no labelled pixel was seen.
        """
        seen = self.collected
        everything = [
            held if held is None else ClassMoments.merged([held, moments])
            for held, moments in zip(seen.held_moments, seen.moments)
        ]
        first = self.head.first_density
        others = bool(seen.moments[first].counts.any())
        honest = bool(self.held_out) and others
        views = self._fit(seen.moments if honest else everything)
        calibration = self._calibrate()
        if honest:
            views = self._fit(everything)
        self.head.fitted.fill_(True)
        return dict(
            images=len(seen.images),
            held_out_images=len(self.held_out),
            pixels_per_class=seen.class_count.tolist(),
            vectors_per_class=everything[first].counts.long().tolist(),
            nonfinite_pixels=int(everything[first].nonfinite.sum()),
            views=views,
            calibration=dict(calibration, held_out=honest),
            seed=self.seed,
        )

    def _fit(self, moments: list[ClassMoments]) -> list[dict]:
        return [
            dict(
                tap=view.tap,
                transform=view.transform,
                **view.fit_moments(part, self.collected.class_count),
            )
            for view, part in zip(self.head.views, moments)
        ]

    def _calibrate(self) -> dict:
        reservoir = self.collected.reservoir
        if not len(reservoir):
            raise ValueError(
                'The held-out images have no labelled pixel to calibrate '
                'with; use another seed or calibration_fraction=0.'
            )
        *vectors, predicted, logits, fields, labels = reservoir.sample()
        report, scores = self.head.calibrate(vectors, predicted, fields)
        if self.temperature:
            value = fit_temperature(logits, labels)
            self.head.temperature.fill_(value)
            report['temperature'] = value
        counts = RankingCounts()
        counts.update(scores.cpu(), predicted != labels)
        both = counts.num_positives and counts.num_negatives
        auroc = round(100 * counts.auroc(), 2) if both else None
        return dict(report, mis_AUROC=auroc)


def _grid(feature: Tensor) -> tuple[int, int]:
    return tuple(feature.shape[2:])
