"""Collecting features and labels into fitted densities."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from mmengine.logging import MMLogger
from torch import Tensor

from mmseg_ddu.core.sampling import random_keys
from mmseg_ddu.models.ddu_segmentor import DDUMixin
from mmseg_ddu.models.heads import classifying_head, last_decode_head
from mmseg_ddu.models.tapped_modules import LOGITS

from .component_look import ComponentLook
from .fit_sums import FitSums
from .labelled_windows import LabelledImage, LabelledWindow
from .labels import labels_on_grid, void_of
from .map_sample import MapSample


class DensityFitter:
    """Streams labelled images into the densities of a model.

    1. ``component_look`` sees a few images, if a head has several Gaussians
       a class, and :meth:`use_centers` gets what it finds.
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
        self.void = void_of(model)
        self.pixels_per_class = pixels_per_class
        self.held_out = frozenset(held_out)
        self.seed, self.temperature = seed, temperature
        self.sums, self.held = FitSums(model), FitSums(model)
        self.maps = MapSample(model, calibration_pixels, seed)
        self.component_look = ComponentLook(model, pixels_per_class, seed)
        for head in self.heads:
            head.set_fitted(False)
            head.prepare(classifying_head(model).conv_seg.weight)

    def use_centers(self, centers: list[Tensor]) -> None:
        """Where the components of each class are."""
        self.sums.centers = centers
        for head, center in zip(self.component_look.heads, centers):
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
        statistics = self.model.image_novelty.statistics(image.image)
        sums = self.sums_of(index)
        sums.statistics.update(key, statistics)
        windows = self._windows(image, index)
        if index in self.held_out and self.model.gda_head.ready:
            self.maps.see(image, index, windows)
        for _ in windows:  # that are left
            pass
        sums.images.add(index)

    def sums_of(self, index: int) -> FitSums:
        """Where an image is added."""
        return self.held if index in self.held_out else self.sums

    def _windows(
        self, image: LabelledImage, index: int
    ) -> Iterator[LabelledWindow]:
        """Those of an image, each added on its way."""
        for number, window in enumerate(image.windows(self.model)):
            grid = window.features[LOGITS].shape[2:]
            labels = labels_on_grid(window.labels, grid)
            self.sums_of(index).class_count += self._count(labels)
            self._add(window, index, number)
            yield window

    def _count(self, labels: Tensor) -> Tensor:
        """Pixels of each class, (C,)."""
        labels = labels[labels != self.void]
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

    def _add(self, window: LabelledWindow, *number: int) -> None:
        """Add some pixels of a window to the moments of each head."""
        for moments, head in zip(self.sums_of(number[0]).moments, self.heads):
            chosen = window.vectors(
                head, self.pixels_per_class, self.seed, *number
            )
            head.update(moments, *chosen)

    # Finishing

    def synchronize(self) -> None:
        """Merge what all processes have seen, in each of them."""
        self.sums = self.sums.of_all_ranks()

    def fit_others(self) -> None:
        """Fit the densities to the images that are not held out.

        Unless none of them has a labelled pixel.
        """
        if self.sums.labelled:
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
