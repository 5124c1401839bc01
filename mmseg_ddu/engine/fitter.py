"""Collecting features and labels into fitted densities."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from mmseg_ddu.core.kmeans import class_centers
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.sampling import (
    PixelReservoir,
    nearest_cells,
    pixels_of,
    random_keys,
    sample_per_class,
)
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.temperature import fit_temperature
from mmseg_ddu.models.ddu_segmentor import DDUMixin
from mmseg_ddu.models.heads import classifying_head, last_decode_head
from mmseg_ddu.models.tapped_modules import LOGITS

from .fit_sums import FitSums
from .labels import labels_on_grid

LOOK_VECTORS = 2048  # of a class, from which its components are found


class DensityFitter:
    """Streams features into the densities of a model, image by image.

    One pass. The images in ``held_out`` do not enter the densities at first:
    a uniform sample of their pixels is scored by the densities of the other
    images, which gives honest percentiles, and then they are merged in, so
    that no image is lost. Without held-out images the sample comes from all
    images. Heads with several Gaussians a class need a look at some images
    before (:meth:`look`).

    Memory does not grow with the number of images.

    Args:
        model (DDUMixin): What is fitted.
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
        model: DDUMixin,
        pixels_per_class: int | None = 512,
        held_out: Collection[int] = (),
        calibration_pixels: int = 16384,
        seed: int = 0,
        temperature: bool = False,
    ) -> None:
        self.model = model
        self.heads = list(model.heads.values())
        self.num_classes = model.gda_head.num_classes
        self.ignore_index = last_decode_head(model).ignore_index
        self.temperature = temperature
        self.pixels_per_class = pixels_per_class
        self.held_out = frozenset(held_out)
        self.seed = seed
        self.sums = FitSums(model, calibration_pixels)
        self.looked: dict[int, PixelReservoir] = {}
        for head in self.heads:
            head.prepare(classifying_head(model).conv_seg.weight)

    # Looking

    @property
    def mixtures(self) -> list:
        """Heads whose classes have several Gaussians."""
        return [h for h in self.heads if h.density.components > 1]

    @torch.no_grad()
    def look(
        self, features: dict[str, Tensor], labels: Tensor, *number: int
    ) -> None:
        """Keep a few vectors of each class; arguments as of :meth:`update`."""
        for place, head in enumerate(self.mixtures):
            feature = features[head.tap]
            where, classes = self._choose(labels, _grid(feature), *number)
            vectors = head.vectors(pixels_of(feature, where)).cpu()
            keys = random_keys(classes.shape, self.seed, *number, 1)
            for label in classes.unique().tolist():
                own = (classes == label).cpu().nonzero().flatten()
                reservoir = self.looked.setdefault(
                    place * self.num_classes + label,
                    PixelReservoir(LOOK_VECTORS),
                )
                reservoir.update(keys[own], vectors[own])

    def finish_look(self, looked: dict[int, PixelReservoir]) -> None:
        """Find the centres of the components, from the looks of all ranks."""
        for place, head in enumerate(self.mixtures):
            density = head.density
            parts = {
                label: looked[place * self.num_classes + label].sample()[0]
                for label in range(self.num_classes)
                if place * self.num_classes + label in looked
            }
            vectors = torch.cat([*parts.values()])
            labels = torch.cat(
                [torch.full((len(v),), label) for label, v in parts.items()]
            )
            centers = class_centers(
                vectors,
                labels,
                self.num_classes,
                density.components,
                self.seed,
            )
            density.centers.copy_(centers.flatten(0, 1))

    # Collecting

    @torch.no_grad()
    def add_image(self, image: Tensor, index: int) -> None:
        """Add a preprocessed image without padding, (1, C, H, W)."""
        key = random_keys((1,), self.seed, index)
        statistics = self.model.image_novelty.statistics(image)
        self.sums.statistics.update(key, statistics)

    @torch.no_grad()
    def update(
        self,
        features: dict[str, Tensor],
        labels: Tensor,
        index: int,
        window: int = 0,
    ) -> None:
        """Add the features of an image, or of one window of it.

        Args:
            features (dict[str, Tensor]): Tap name to (1, D, h, w), and the
                logits.
            labels (Tensor): (H, W) of the same field of view, any size.
            index (int): Number of the image in its data set.
            window (int): Number of the window.

        Raises:
            ValueError: If a label is neither a class nor void.
        """
        seen = self.sums
        grid = _grid(features[LOGITS])
        on_grid = labels_on_grid(labels, grid).flatten()
        self._check_labels(on_grid)
        known = on_grid != self.ignore_index
        seen.images.add(index)
        seen.class_count += torch.bincount(
            on_grid[known], minlength=self.num_classes
        ).cpu()
        calibrates = index in self.held_out
        if calibrates or not self.held_out:
            self._sample(features, on_grid, known, index, window)
        target = seen.held_moments if calibrates else seen.moments
        for moments, head in zip(target, self.heads):
            feature = features[head.tap]
            where, classes = self._choose(
                labels, _grid(feature), index, window
            )
            vectors = head.vectors(pixels_of(feature, where))
            head.update(moments, vectors, classes)

    def _choose(
        self, labels: Tensor, grid: tuple[int, int], *number: int
    ) -> tuple[Tensor, Tensor]:
        """Pixels of a grid within the budget, and their classes."""
        on_grid = labels_on_grid(labels, grid).flatten()
        keys = random_keys(on_grid.shape, self.seed, *number)
        chosen = sample_per_class(
            on_grid,
            self.pixels_per_class,
            keys.to(on_grid.device),
            self.num_classes,
        )
        return chosen, on_grid[chosen]

    def _sample(
        self,
        features: dict[str, Tensor],
        labels: Tensor,
        known: Tensor,
        *number: int,
    ) -> None:
        """Offer pixels of the grid of the logits to the reservoir."""
        pixels = self.sums.pixels
        logits = features[LOGITS]
        keys = random_keys(labels.shape, self.seed, *number)
        where = known.cpu().nonzero().flatten()
        where = where[keys[where].sort().indices][: pixels.size]
        kept = []
        for head in self.heads:
            feature = features[head.tap]
            cells = nearest_cells(where, _grid(logits), _grid(feature))
            kept.append(head.vectors(pixels_of(feature, cells)))
        chosen = pixels_of(logits, where).float()
        predicted = self.model.classes_of(chosen[..., None, None]).flatten()
        right = (predicted == labels[where.to(labels.device)]).cpu()
        kept += [predicted.cpu(), right, softmax_entropy(chosen)[:, 0]]
        if self.temperature:
            kept.append(chosen)
        pixels.update(keys[where], *kept, labels.cpu()[where])

    def _check_labels(self, labels: Tensor) -> None:
        wrong = (labels < 0) | (labels >= self.num_classes)
        wrong &= labels != self.ignore_index
        if wrong.any():
            raise ValueError(
                f'Found label {int(labels[wrong][0])} in the annotations, but '
                f'the model has {self.num_classes} classes (and '
                f'{self.ignore_index} is void). The data set does not belong '
                'to this checkpoint, or reduce_zero_label or the classes in '
                'metainfo are wrong.'
            )

    def synchronize(self) -> None:
        """Merge what all processes have seen, in each of them."""
        self.sums = self.sums.of_all_ranks()

    # Finishing

    def finalize(self) -> dict:
        """Fit the densities, store the percentiles, and say what was done.

        Returns:
            dict: Plain numbers: images, pixels and vectors per class, one
            entry per head, and the calibration with ``errors_AUROC``, how
            well each map ranks misclassified above correct pixels, in
            percent.

        Raises:
            ValueError: If no labelled pixel was seen.
        """
        seen = self.sums
        everything = [
            ClassMoments.merged(pair)
            for pair in zip(seen.held_moments, seen.moments)
        ]
        others = bool(seen.moments[0].counts.any())
        honest = bool(self.held_out) and others
        heads = self._fit(seen.moments if honest else everything)
        calibration = self._calibrate()
        if honest:
            heads = self._fit(everything)
        self.model.image_novelty.fit(seen.statistics.sample()[0])
        for head in self.heads:
            head.set_fitted()
        vectors = everything[0].counts.unflatten(0, (self.num_classes, -1))
        return dict(
            images=len(seen.images),
            held_out_images=len(self.held_out),
            pixels_per_class=seen.class_count.tolist(),
            vectors_per_class=vectors.sum(1).long().tolist(),
            nonfinite_pixels=int(everything[0].nonfinite.sum()),
            heads=heads,
            calibration=dict(calibration, held_out=honest),
            seed=self.seed,
        )

    def _fit(self, moments: list[ClassMoments]) -> list[dict]:
        return [
            dict(
                tap=head.tap,
                **head.density.fit_moments(part, self.sums.class_count),
            )
            for head, part in zip(self.heads, moments)
        ]

    def _calibrate(self) -> dict:
        pixels = self.sums.pixels
        if not len(pixels):
            raise ValueError(
                'The held-out images have no labelled pixel to calibrate '
                'with; use another seed or calibration_fraction=0.'
            )
        number = len(self.heads)
        values = pixels.sample()
        vectors, (_, right, entropies, *logits) = (
            values[:number],
            values[number:-1],
        )
        device = self.model.gda_head.fitted.device
        scores = [
            -head.density.score_samples(part.to(device)).cpu()
            for head, part in zip(self.heads, vectors)
        ]
        finite = torch.stack(scores).isfinite().all(0)
        if not finite.any():
            raise ValueError(
                f'All {len(finite)} calibration pixels have NaN or infinite '
                'features; the network is broken (diverged training, or half '
                'precision that overflowed).'
            )
        report = dict(pixels=int(finite.sum()))
        report['nonfinite'] = len(finite) - report['pixels']
        if self.temperature:
            value = fit_temperature(logits[0], values[-1])
            self.model.map_calibration.temperature.fill_(value)
            self.model.scaled = value != 1
            report['temperature'] = value
            entropies = softmax_entropy(logits[0] / value)[:, 0]
        entropies, right = entropies[finite], right[finite]
        scores = [part[finite] for part in scores]
        for head, part in zip(self.heads, scores):
            head.surprise.fit(part)
        surprise = self.model.gda_head.surprise(scores[0].to(device))
        total = self.model.map_calibration.fit(
            entropies.to(device), surprise
        ).cpu()
        maps = dict(aleatoric=entropies, epistemic=scores[0], total=total)
        return dict(report, errors_AUROC=_errors_auroc(maps, right))


def _errors_auroc(maps: dict[str, Tensor], right: Tensor) -> dict:
    """Misclassified against correct pixels, in percent; None without any."""
    result = {}
    for name, values in maps.items():
        counts = RankingCounts()
        counts.update(values, ~right)
        both = counts.num_positives and counts.num_negatives
        result[name] = round(100 * counts.auroc(), 2) if both else None
    return result


def _grid(feature: Tensor) -> tuple[int, int]:
    return tuple(feature.shape[2:])
