"""Pieces of other images, changed and pasted in: objects nobody has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .image_shifts import texture

BLOCK = 4  # pixels of a side that scrambling moves together


def scrambled(patch: Tensor, generator: torch.Generator) -> Tensor:
    """Its blocks in another order, (C, s, s) with s a multiple of BLOCK."""
    channels, size = patch.shape[0], patch.shape[1] // BLOCK
    blocks = patch.reshape(channels, size, BLOCK, size, BLOCK)
    blocks = blocks.permute(1, 3, 0, 2, 4).flatten(0, 1)
    order = torch.randperm(len(blocks), generator=generator)
    blocks = blocks[order].reshape(size, size, channels, BLOCK, BLOCK)
    return blocks.permute(2, 0, 3, 1, 4).reshape(patch.shape)


def recoloured(patch: Tensor, generator: torch.Generator) -> Tensor:
    """Its channels in another order, one of them upside down in value."""
    moved = patch.roll(1, 0).clone()
    moved[0] = 255 - moved[0]
    return moved


def turned(patch: Tensor, generator: torch.Generator) -> Tensor:
    """Upside down."""
    return patch.flip(1)


def textured(patch: Tensor, generator: torch.Generator) -> Tensor:
    """A pattern between two colours, nothing of the patch."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    empty = np.zeros((*patch.shape[1:], 3), np.uint8)
    pattern = texture(empty, np.random.default_rng(seed))
    pattern = torch.from_numpy(pattern).movedim(-1, 0)
    return pattern[: len(patch)].to(patch.dtype)


Change = Callable[[Tensor, torch.Generator], Tensor]
KINDS: tuple[Change, ...] = (scrambled, recoloured, turned)


def paste(
    image: Tensor,
    other: Tensor,
    generator: torch.Generator,
    kinds: Sequence[Change] = KINDS,
) -> tuple[Tensor, Tensor]:
    """Paste a changed square of one image into another.

    Args:
        image, other (Tensor): (C, H, W), values 0 to 255.
        generator (torch.Generator): Of places and of the kind of change.
        kinds (Sequence[Change]): Changes to choose from.

    Returns:
        tuple[Tensor, Tensor]: The new image, and (H, W) bool, the square: a
        third of the shorter side long.
    """
    shorter = min(*image.shape[1:], *other.shape[1:])
    side = max(BLOCK, shorter // 3 // BLOCK * BLOCK)

    def corner(size: int) -> int:
        return int(torch.randint(size - side + 1, (1,), generator=generator))

    y, x = corner(other.shape[1]), corner(other.shape[2])
    patch = other[:, y : y + side, x : x + side]
    kind = int(torch.randint(len(kinds), (1,), generator=generator))
    y, x = corner(image.shape[1]), corner(image.shape[2])
    mask = torch.zeros(image.shape[1:], dtype=torch.bool)
    mask[y : y + side, x : x + side] = True
    pasted = image.clone()
    pasted[:, mask] = kinds[kind](patch, generator).flatten(1)
    return pasted, mask
