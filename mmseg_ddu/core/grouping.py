"""Vectors sorted by class, so that each class takes one product."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class ClassGroups:
    """Where the vectors of each class are.

    One sort and, on a GPU, one synchronisation; densities that look at the
    same pixels share it.

    Args:
        labels (Tensor): (N,) integers in ``[0, num_classes)``.
        num_classes (int): C.

    Raises:
        ValueError: If a label is out of range.

    Example:
        >>> groups = ClassGroups(torch.tensor([2, 0, 2, 2]), 3)
        >>> [(c, i.tolist()) for c, i in groups.blocks(2)]
        [(0, [1]), (2, [0, 2]), (2, [3])]
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        labels = labels.long()
        # A label out of range lands in the first or the last bin.
        bins = (labels + 1).clamp(0, num_classes + 1)
        counts = bins.bincount(minlength=num_classes + 2).tolist()
        if counts[0] or counts[-1]:
            raise ValueError(
                f'Expected classes in [0, {num_classes}), but got values '
                f'from {int(labels.min())} to {int(labels.max())}.'
            )
        self.labels = labels
        self.counts = counts[1:-1]
        self.num_classes = num_classes
        self._order: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def order(self) -> Tensor:
        """(N,) indices, class by class, ascending within a class."""
        if self._order is None:
            if sum(count > 0 for count in self.counts) == 1:
                self._order = torch.arange(
                    len(self), device=self.labels.device
                )
            else:
                self._order = self.labels.argsort(stable=True)
        return self._order

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """(class, indices of at most ``size`` of its vectors)."""
        start = 0
        for label, count in enumerate(self.counts):
            for where in self.order[start : start + count].split(size):
                if count:
                    yield label, where
            start += count


def labels_of(classes: Tensor | ClassGroups) -> Tensor:
    """The labels themselves, (N,)."""
    return classes.labels if isinstance(classes, ClassGroups) else classes
