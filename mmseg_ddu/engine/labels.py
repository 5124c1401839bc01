"""Labels on the grids of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.core.sampling import random_keys, sample_per_class
from mmseg_ddu.models.heads import last_decode_head

NO_CLASS = -1


def void_of(model: nn.Module) -> int:
    """What marks void among the labels of a fit.

    The decode head's ``ignore_index``, or -1 if that is a class as well: such
    a class is never trained, and the densities must not see it.
    """
    head = last_decode_head(model)
    is_class = 0 <= head.ignore_index < head.num_classes
    return NO_CLASS if is_class else head.ignore_index


def require_class_numbers(shape: Sequence[int], file: object) -> None:
    """Raise ValueError unless labels are (H, W) or (1, H, W)."""
    if len(shape) != 2 and (len(shape) != 3 or shape[0] != 1):
        raise ValueError(
            f'{file} has {shape[-1]} values a pixel, as colours have, where '
            'one class number is expected; write class numbers into it, as '
            'an image of one channel'
        )


def labels_on_grid(labels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Nearest neighbour, at the centres of the cells: (H, W) -> (h, w)."""
    resized = F.interpolate(
        labels[None, None].float(), tuple(grid), mode='nearest-exact'
    )
    return resized[0, 0].long()


def cells_per_class(
    labels: Tensor,
    grid: tuple[int, int],
    budget: int | None,
    num_classes: int,
    *seed: int,
) -> tuple[Tensor, Tensor]:
    """A seeded choice of cells of a grid, at most so many of each class.

    Args:
        labels (Tensor): (H, W) over the same field of view.
        grid (tuple[int, int]): (h, w).
        budget (int, optional): Cells per class; None for all.
        num_classes (int): C; other labels are never chosen.
        seed (int): What the choice depends on.

    Returns:
        tuple[Tensor, Tensor]: (N,) flat numbers of cells, and their classes.
    """
    flat = labels_on_grid(labels, grid).flatten()
    keys = random_keys(flat.shape, *seed).to(flat.device)
    chosen = sample_per_class(flat, budget, keys, num_classes)
    return chosen, flat[chosen]
