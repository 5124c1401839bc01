"""Seeded choices of pixels that do not depend on order or rank."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import require


def random_keys(shape: torch.Size | tuple[int, ...], *seed: int) -> Tensor:
    """Random int64 keys, a pure function of the seed numbers.

    Those are, for example, the seed of the run, the image and the window.
    """
    mixed = 0
    for number in seed:
        mixed = (mixed * 1_000_003 + int(number) + 1) % (1 << 61)
    generator = torch.Generator().manual_seed(mixed)
    return torch.randint(1 << 62, tuple(shape), generator=generator)


def sample_per_class(
    labels: Tensor, budget: int | None, keys: Tensor, num_classes: int
) -> Tensor:
    """Indices of at most ``budget`` pixels of each class.

    Args:
        labels (Tensor): (N,) integers; values outside ``[0, num_classes)``
            are never chosen.
        budget (int, optional): Pixels per class; None for all.
        keys (Tensor): (N,) random keys; the smallest are taken.
        num_classes (int): C.

    Returns:
        Tensor: (M,) ascending indices.
    """
    known = (labels >= 0) & (labels < num_classes)
    if budget is None:
        return known.nonzero().flatten()
    chosen = [labels.new_zeros(0, dtype=torch.int64)]
    for label in labels[known].unique():
        where = (labels == label).nonzero().flatten()
        if len(where) > budget:
            where = where[keys[where].topk(budget, largest=False).indices]
        chosen.append(where)
    return torch.cat(chosen).sort().values


class PixelReservoir:
    """A uniform sample of fixed size from a stream of vectors.

    Each vector comes with a random key; those with the smallest keys stay.
    The sample is the same in whatever order the stream comes, and samples
    of several ranks merge into the sample of all.
    """

    def __init__(self, size: int) -> None:
        require(size >= 1, 'size to be at least 1', size)
        self.size = size
        self._parts: list[list[Tensor]] = []  # keys, and each of the values

    def update(self, keys: Tensor, *values: Tensor) -> None:
        """Offer values, (N, ...) each, under (N,) random int64 keys.

        They are kept on the CPU.
        """
        part = [keys.cpu(), *values]
        if len(keys) > self.size:
            best = part[0].topk(self.size, largest=False).indices
            part = [each[best.to(each.device)] for each in part]
        self._parts.append([each.detach().cpu() for each in part])
        if self._offered() > 2 * self.size:
            self._prune()

    def merge(self, other: PixelReservoir) -> PixelReservoir:
        """Add the sample of another stream."""
        self._parts += other._parts
        self._prune()
        return self

    def state_dict(self) -> dict:
        """The sample so far: ``keys`` (N,), ``values`` (N, ...) each."""
        self._prune()
        nothing = [torch.zeros(0, dtype=torch.int64)]
        keys, *values = self._parts[0] if self._parts else nothing
        return dict(size=self.size, keys=keys, values=values)

    @classmethod
    def from_state_dict(cls, state: dict) -> PixelReservoir:
        """A reservoir that goes on from what :meth:`state_dict` gave."""
        reservoir = cls(state['size'])
        if len(state['keys']):
            reservoir._parts = [[state['keys'], *state['values']]]
        return reservoir

    def _prune(self) -> None:
        if self._parts:
            columns = [torch.cat(column) for column in zip(*self._parts)]
            best = columns[0].sort(stable=True).indices[: self.size]
            self._parts = [[column[best] for column in columns]]

    def _offered(self) -> int:
        return sum(len(part[0]) for part in self._parts)

    def sample(self) -> tuple[Tensor, ...]:
        """The kept vectors, in the order of their keys; () if none came."""
        return tuple(self.state_dict()['values'])

    def __len__(self) -> int:
        return min(self.size, self._offered())


def pixels_of(feature: Tensor, where: Tensor) -> Tensor:
    """Chosen pixels of one image, (1, D, h, w) -> (len(where), D)."""
    flat = feature[0].flatten(1)
    return flat.index_select(1, where.to(flat.device)).T
