"""What a fit has seen so far, as sums that merge."""

from __future__ import annotations

import torch
from mmengine.dist import broadcast_object_list, get_dist_info

from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.sampling import PixelReservoir
from mmseg_ddu.models.ddu_segmentor import DDUMixin

MOST_IMAGES = 8192  # whose statistics are kept


class FitSums:
    """Moments per head, samples of pixels and images, counts.

    Args:
        model (DDUMixin): What is fitted.
        calibration_pixels (int): Size of the sample of pixels.

    Attributes:
        moments (list[ClassMoments]): One for each density head.
        held_moments (list[ClassMoments]): Of the held-out images.
        class_count (Tensor): (C,) labelled pixels.
        pixels (PixelReservoir): The sample that calibrates.
        statistics (PixelReservoir): Of images, for their novelty.
        images (set[int]): Numbers of the images.
    """

    def __init__(self, model: DDUMixin, calibration_pixels: int) -> None:
        self._model = model
        device = model.gda_head.fitted.device
        # Apple's GPUs have no float64.
        self._device = 'cpu' if device.type == 'mps' else device
        self.moments = self._new_moments()
        self.held_moments = self._new_moments()
        classes = model.gda_head.num_classes
        self.class_count = torch.zeros(classes, dtype=torch.int64)
        self.pixels = PixelReservoir(calibration_pixels)
        self.statistics = PixelReservoir(MOST_IMAGES)
        self.images: set[int] = set()

    def _new_moments(self) -> list[ClassMoments]:
        heads = self._model.heads.values()
        return [head.new_moments(self._device) for head in heads]

    def empty(self) -> FitSums:
        """A new object of the same kind that has seen nothing."""
        return FitSums(self._model, self.pixels.size)

    def merge(self, other: FitSums) -> FitSums:
        """Add all that another object has seen.

        Raises:
            ValueError: If both have seen the same image, which would count
                twice.
        """
        twice = self.images & other.images
        if twice:
            raise ValueError(
                f'Image {min(twice)} was seen by two processes and would '
                'count twice; give each process its own images.'
            )
        for mine, its in zip(self._parts(), other._parts()):
            mine.merge(its)
        self.class_count += other.class_count
        self.pixels.merge(other.pixels)
        self.statistics.merge(other.statistics)
        self.images |= other.images
        return self

    def _parts(self) -> list[ClassMoments]:
        return [*self.moments, *self.held_moments]

    def of_all_ranks(self) -> FitSums:
        """What all ranks have seen, merged in rank order, on every rank.

        One rank at a time, so that memory does not grow with their number.
        """
        own, world = get_dist_info()
        if world == 1:
            return self
        total = self.empty()
        for rank in range(world):
            state = [self.state_dict() if rank == own else None]
            broadcast_object_list(state, src=rank)
            total.merge(self.empty().load_state_dict(state[0]))
        return total

    def state_dict(self) -> dict:
        """Plain types and tensors on the CPU, bit for bit."""
        return dict(
            moments=[moments.state_dict() for moments in self._parts()],
            class_count=self.class_count,
            pixels=self.pixels.state_dict(),
            statistics=self.statistics.state_dict(),
            images=torch.tensor(sorted(self.images), dtype=torch.int64),
        )

    def load_state_dict(self, state: dict) -> FitSums:
        """Go on from what :meth:`state_dict` gave."""
        for moments, saved in zip(self._parts(), state['moments']):
            moments.load_state_dict(saved)
        self.class_count = state['class_count'].clone()
        self.pixels = PixelReservoir.from_state_dict(state['pixels'])
        self.statistics = PixelReservoir.from_state_dict(state['statistics'])
        self.images = set(state['images'].tolist())
        return self
