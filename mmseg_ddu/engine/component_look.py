"""A first look at a few images, for classes of several Gaussians."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from mmseg_ddu.core.kmeans import class_centers
from mmseg_ddu.core.sampling import PixelReservoir, random_keys
from mmseg_ddu.models.ddu_segmentor import DDUMixin

from .labelled_windows import LabelledImage
from .ranks import from_each_rank

LOOK_IMAGES = 64
LOOK_VECTORS = 1024  # of a class


class ComponentLook:
    """Finds where the Gaussians of each class are, by k-means on a sample.

    Args:
        model (DDUMixin): In eval mode.
        pixels_per_class (int, optional): Most pixels per class and image.
        seed (int): Of all choices.

    Attributes:
        heads (list[GDAHead]): Those whose classes have several Gaussians.
    """

    def __init__(
        self, model: DDUMixin, pixels_per_class: int | None, seed: int
    ) -> None:
        self.model, self.seed = model, seed
        self.pixels_per_class = pixels_per_class
        heads = model.heads.values()
        self.heads = [h for h in heads if h.density.components > 1]
        classes = range(model.gda_head.num_classes)
        self.samples = [
            [PixelReservoir(LOOK_VECTORS) for _ in classes] for _ in self.heads
        ]

    @torch.no_grad()
    def see(self, image: LabelledImage, index: int) -> None:
        """Keep a few vectors of each class of an image."""
        for place, window in enumerate(image.windows(self.model)):
            number = self.seed, index, place
            for head, samples in zip(self.heads, self.samples):
                vectors, classes = window.vectors(
                    head, self.pixels_per_class, *number
                )
                vectors, classes = vectors.cpu(), classes.cpu()
                keys = random_keys(classes.shape, *number, 1)
                for label in classes.unique().tolist():
                    own = classes == label
                    samples[label].update(keys[own], vectors[own])

    def centers(self) -> list[Tensor]:
        """From the looks of all ranks, the same on each.

        Returns:
            list[Tensor]: For each head, (C * components, D).
        """
        return [
            self._centers_of(head, reduce(_merged, from_each_rank(samples)))
            for head, samples in zip(self.heads, self.samples)
        ]

    def _centers_of(
        self, head: nn.Module, samples: list[PixelReservoir]
    ) -> Tensor:
        found = [(n, r.sample()[0]) for n, r in enumerate(samples) if len(r)]
        if not found:
            return head.density.centers.cpu().clone()
        labels = [torch.full((len(part),), n) for n, part in found]
        return class_centers(
            torch.cat([part for _, part in found]),
            torch.cat(labels),
            len(samples),
            head.density.components,
            self.seed,
        ).flatten(0, 1)


def _merged(
    first: list[PixelReservoir], second: list[PixelReservoir]
) -> list[PixelReservoir]:
    return [mine.merge(its) for mine, its in zip(first, second)]
