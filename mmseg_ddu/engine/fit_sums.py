"""What a fit has seen so far, as sums that merge."""

from __future__ import annotations

from functools import reduce

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.sampling import PixelReservoir
from mmseg_ddu.models.ddu_segmentor import DDUMixin

from .ranks import from_each_rank

MOST_IMAGES = 8192  # whose statistics are kept


class FitSums:
    """Moments per head, statistics of images, counts.

    Args:
        model (DDUMixin): What is fitted.

    Attributes:
        moments (list[ClassMoments]): One for each density head.
        class_count (Tensor): (C,) labelled pixels.
        statistics (PixelReservoir): Of images, for their novelty.
        images (set[int]): Numbers of the images.
        unreadable (list[dict]): ``image`` and ``error`` of those left out.
        centers (list[Tensor]): Of the parts of each class, for the heads
            that have some, found before the first image.
    """

    def __init__(self, model: DDUMixin) -> None:
        self._model = model
        device = model.gda_head.fitted.device
        # Apple's GPUs have no float64.
        device = 'cpu' if device.type == 'mps' else device
        self.moments: list[ClassMoments] = [
            head.new_moments(device) for head in model.heads.values()
        ]
        classes = model.gda_head.num_classes
        self.class_count = torch.zeros(classes, dtype=torch.int64)
        self.statistics = PixelReservoir(MOST_IMAGES)
        self.images: set[int] = set()
        self.unreadable: list[dict] = []
        self.centers: list[Tensor] = []

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
        for mine, its in zip(self.moments, other.moments):
            mine.merge(its)
        self.class_count += other.class_count
        self.statistics.merge(other.statistics)
        self.images |= other.images
        self.unreadable += other.unreadable
        self.unreadable.sort(key=lambda row: row['image'])
        return self

    @property
    def done(self) -> set[int]:
        """Numbers of the images that need not be shown again."""
        return self.images | {row['image'] for row in self.unreadable}

    def of_all_ranks(self) -> FitSums:
        """What all ranks have seen, merged in rank order, on every rank."""
        if get_world_size() == 1:  # no copy: it may be large
            return self
        states = from_each_rank(self.state_dict())
        load = FitSums.load_state_dict
        return reduce(
            FitSums.merge, (load(FitSums(self._model), s) for s in states)
        )

    def state_dict(self) -> dict:
        """Plain types and tensors on the CPU, bit for bit."""
        return dict(
            moments=[moments.state_dict() for moments in self.moments],
            class_count=self.class_count,
            statistics=self.statistics.state_dict(),
            images=torch.tensor(sorted(self.images), dtype=torch.int64),
            unreadable=self.unreadable,
            centers=self.centers,
        )

    def load_state_dict(self, state: dict) -> FitSums:
        """Go on from what :meth:`state_dict` gave."""
        for moments, saved in zip(self.moments, state['moments']):
            moments.load_state_dict(saved)
        self.class_count = state['class_count'].clone()
        self.statistics = PixelReservoir.from_state_dict(state['statistics'])
        self.images = set(state['images'].tolist())
        self.unreadable = list(state['unreadable'])
        self.centers = list(state['centers'])
        return self
