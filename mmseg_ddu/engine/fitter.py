"""Collecting features and labels into fitted densities."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce

import torch
from mmengine.logging import MMLogger
from torch import Tensor

from mmseg_ddu.core.kmeans import class_centers
from mmseg_ddu.core.sampling import PixelReservoir, random_keys
from mmseg_ddu.models.ddu_segmentor import DDUMixin
from mmseg_ddu.models.heads import classifying_head, last_decode_head
from mmseg_ddu.models.tapped_modules import LOGITS
from mmseg_ddu.models.uncertainty_maps import without_padding

from .fit_sums import FitSums
from .labelled_windows import LabelledImage, LabelledWindow
from .labels import labels_on_grid, void_of
from .map_sample import MapSample
from .ranks import from_each_rank

LOOK_IMAGES = 64
LOOK_VECTORS = 1024  # of a class


class DensityFitter:
    """Streams labelled images into the densities of a model.

    1. :meth:`look` at a few images, if a head has several Gaussians a class,
       and :meth:`use_centers` that :meth:`find_centers` finds.
    2. :meth:`update` with each image that is not in ``held_out``, once.
    3. :meth:`synchronize` and :meth:`fit_others`, the densities of these.
    4. :meth:`update` with each that is, once: percentiles come from maps of
       images that the densities have not seen.
    5. :meth:`join` merges them in, so that no image is lost.
    6. :meth:`fit_all` where there are no such maps. If so, ``maps`` has to
       see some of all images.
    7. :meth:`finalize`.

    Memory does not grow with the number of images, and no result depends on
    their order or on which process sees which.

    Args:
        model (DDUMixin): What is fitted.
        pixels_per_class (int, optional): Most pixels of one class taken from
            one image; neighbouring pixels are nearly copies. None takes all.
        held_out (Collection[int]): Images that calibrate.
        calibration_pixels (int): Size of the sample of their pixels.
        seed (int): The choice of pixels depends on it and on the image's
            number alone.
        temperature (bool): Fit a temperature for the logits to the
            calibration pixels (Guo et al., ICML 2017).

    Attributes:
        several (list[GDAHead]): Those whose classes have several Gaussians.
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
        self.pixels_per_class = pixels_per_class
        self.held_out = frozenset(held_out)
        self.seed, self.temperature = seed, temperature
        self.sums, self.held = FitSums(model), FitSums(model)
        self.maps = MapSample(model, calibration_pixels, seed)
        for head in self.heads:
            head.set_fitted(False)
            head.prepare(classifying_head(model).conv_seg.weight)
        self.several = [h for h in self.heads if h.density.components > 1]
        self._looks = [
            [PixelReservoir(LOOK_VECTORS) for _ in range(self.num_classes)]
            for _ in self.several
        ]

    # Where several Gaussians of a class are

    @torch.no_grad()
    def look(self, image: LabelledImage, index: int) -> None:
        """Keep a few vectors of each class of an image."""
        for place, window in enumerate(image.windows(self.model)):
            number = self.seed, index, place
            for head, looks in zip(self.several, self._looks):
                vectors, classes = window.vectors(
                    head, self.pixels_per_class, *number
                )
                vectors, classes = vectors.cpu(), classes.cpu()
                keys = random_keys(classes.shape, *number, 1)
                for label in classes.unique().tolist():
                    own = classes == label
                    looks[label].update(keys[own], vectors[own])

    def find_centers(self) -> list[Tensor]:
        """Those of k-means on what all ranks have kept, on every rank.

        For each head in ``several``, (C * components, D).
        """
        found = []
        for head, looks in zip(self.several, self._looks):
            density = head.density
            parts = [
                look.sample()[0] if len(look) else density.centers[:0].cpu()
                for look in reduce(_merged, from_each_rank(looks))
            ]
            sizes = torch.tensor([len(part) for part in parts])
            classes = torch.arange(len(parts)).repeat_interleave(sizes)
            centers = class_centers(
                torch.cat(parts),
                classes,
                len(parts),
                density.components,
                self.seed,
            )
            found.append(centers.flatten(0, 1))
        return found

    def use_centers(self, centers: list[Tensor]) -> None:
        """Where the Gaussians of each class are."""
        self.sums.centers = centers
        for head, center in zip(self.several, centers):
            head.density.centers.copy_(center)

    # Collecting

    @torch.no_grad()
    def update(self, image: LabelledImage, index: int) -> None:
        """Add an image.

        Args:
            image (LabelledImage): It and its labels.
            index (int): Its number in the data set.

        Raises:
            ValueError: If a label is neither a class nor void.
        """
        key = random_keys((1,), self.seed, index)
        ((_, whole),) = without_padding(image.inputs, [image.meta])
        statistics = self.model.image_novelty.statistics(whole)
        held_out = index in self.held_out
        sums = self.held if held_out else self.sums
        sums.statistics.update(key, statistics)
        windows = self._windows(image, index, sums)
        if held_out and self.model.gda_head.ready:
            self.maps.see(image, index, windows)
        for _ in windows:  # that are left
            pass
        sums.images.add(index)

    def _windows(
        self, image: LabelledImage, index: int, sums: FitSums
    ) -> Iterator[LabelledWindow]:
        """Those of an image, some pixels of each added on its way."""
        for number, window in enumerate(image.windows(self.model)):
            grid = window.features[LOGITS].shape[2:]
            labels = labels_on_grid(window.labels, grid)
            sums.class_count += self._count(labels)
            for moments, head in zip(sums.moments, self.heads):
                chosen = window.vectors(
                    head, self.pixels_per_class, self.seed, index, number
                )
                head.update(moments, *chosen)
            yield window

    def _count(self, labels: Tensor) -> Tensor:
        """Pixels of each class, (C,)."""
        labels = labels[labels != void_of(self.model)]
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            ignored = last_decode_head(self.model).ignore_index
            raise ValueError(
                f'Found label {int(labels[wrong][0])} in the annotations, but '
                f'the model has {self.num_classes} classes (and {ignored} is '
                'void). The data set does not belong to this checkpoint, or '
                'reduce_zero_label or the classes in metainfo are wrong.'
            )
        return torch.bincount(labels, minlength=self.num_classes).cpu()

    # Finishing

    def synchronize(self) -> None:
        """Merge what all processes have seen, in each of them."""
        self.sums = self.sums.of_all_ranks()

    def fit_others(self) -> None:
        """Fit the densities to the images that are not held out.

        Unless none of them has a labelled pixel.
        """
        if self.sums.moments[0].counts.any():
            self._fit()

    def join(self) -> None:
        """Merge the held-out images of all processes with the others."""
        self.sums.merge(self.held.of_all_ranks())
        self.maps.synchronize()

    def fit_all(self) -> bool:
        """Fit the densities to all images if no map calibrates.

        None is held out any longer then.

        Returns:
            bool: Whether it was necessary.

        Raises:
            ValueError: If no labelled pixel was seen.
        """
        if len(self.maps.pixels):
            return False
        if self.held_out and self.model.gda_head.ready:
            MMLogger.get_current_instance().warning(
                f'None of the {len(self.held_out)} held-out images has a '
                'labelled pixel. The percentiles come from images that the '
                'densities have seen; another seed, or a higher '
                'calibration_fraction, would hold out others.'
            )
        self.held_out = frozenset()
        self._fit()
        return True

    def _fit(self) -> list[dict]:
        rows = []
        for head, moments in zip(self.heads, self.sums.moments):
            said = head.density.fit_moments(moments, self.sums.class_count)
            rows.append(dict(tap=head.tap, **said))
            head.set_fitted()
        return rows

    def finalize(self) -> dict:
        """Store the percentiles, fit the final densities, say what was done.

        Returns:
            dict: Plain numbers: images, pixels and vectors per class, one
            entry per head, that of :meth:`MapSample.calibrate`, and
            ``unreadable`` images with the reason.

        Raises:
            ValueError: If there is nothing to calibrate with.
        """
        seen = self.sums
        calibration = self.maps.calibrate(self.temperature)
        heads = self._fit()
        self.model.image_novelty.fit(seen.statistics.sample()[0])
        moments = seen.moments[0]
        vectors = moments.counts.unflatten(0, (self.num_classes, -1))
        return dict(
            images=len(seen.images),
            held_out_images=len(self.held_out),
            pixels_per_class=seen.class_count.tolist(),
            vectors_per_class=vectors.sum(1).long().tolist(),
            nonfinite_pixels=int(moments.nonfinite.sum()),
            heads=heads,
            calibration=dict(calibration, held_out=bool(self.held_out)),
            seed=self.seed,
            unreadable=seen.unreadable,
        )


def _merged(
    first: list[PixelReservoir], second: list[PixelReservoir]
) -> list[PixelReservoir]:
    return [mine.merge(its) for mine, its in zip(first, second)]
