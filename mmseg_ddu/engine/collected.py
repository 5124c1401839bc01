"""What a fit has seen so far, as sums that merge."""

from __future__ import annotations

import torch
from mmengine.dist import broadcast_object_list, get_dist_info

from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.sampling import PixelReservoir
from mmseg_ddu.models.gda_head import GDAHead


class Collected:
    """Moments per view, a sample of pixels, counts, and which images.

    Args:
        head (GDAHead): What is fitted.
        calibration_pixels (int): Size of the sample.

    Attributes:
        moments (list[ClassMoments | None]): One for each view; None for a
            view that needs none.
        held_moments (list[ClassMoments | None]): Of the held-out images.
        class_count (Tensor): (C,) labelled pixels.
        reservoir (PixelReservoir): The sample.
        images (set[int]): Numbers of the images.
    """

    def __init__(self, head: GDAHead, calibration_pixels: int) -> None:
        self._head = head
        device = head.score_quantiles.device
        # Apple's GPUs have no float64.
        self._device = 'cpu' if device.type == 'mps' else device
        self.moments = self._new_moments()
        self.held_moments = self._new_moments()
        self.class_count = torch.zeros(head.num_classes, dtype=torch.int64)
        self.reservoir = PixelReservoir(calibration_pixels)
        self.images: set[int] = set()

    def _new_moments(self) -> list[ClassMoments | None]:
        return [view.new_moments(self._device) for view in self._head.views]

    def empty(self) -> Collected:
        """A new object of the same kind that has seen nothing."""
        return Collected(self._head, self.reservoir.size)

    def merge(self, other: Collected) -> Collected:
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
            if mine is not None:
                mine.merge(its)
        self.class_count += other.class_count
        self.reservoir.merge(other.reservoir)
        self.images |= other.images
        return self

    def _parts(self) -> list[ClassMoments | None]:
        return [*self.moments, *self.held_moments]

    def of_all_ranks(self) -> Collected:
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
            moments=[
                m if m is None else m.state_dict() for m in self._parts()
            ],
            class_count=self.class_count,
            reservoir=self.reservoir.state_dict(),
            images=torch.tensor(sorted(self.images), dtype=torch.int64),
        )

    def load_state_dict(self, state: dict) -> Collected:
        """Go on from what :meth:`state_dict` gave."""
        for moments, saved in zip(self._parts(), state['moments']):
            if moments is not None:
                moments.load_state_dict(saved)
        self.class_count = state['class_count'].clone()
        self.reservoir = PixelReservoir.from_state_dict(state['reservoir'])
        self.images = set(state['images'].tolist())
        return self
