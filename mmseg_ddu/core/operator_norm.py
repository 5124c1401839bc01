"""How much a convolution can stretch an image at most."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GRID = 16  # rows and columns; more than twice what kernels have


class OperatorNorm:
    """The largest singular value of a convolution, by power iteration.

    On a circular grid, without stride and dilation. A stride leaves rows
    out and zero padding takes some away, which never stretches more; a
    dilation permutes the frequencies. So it is a safe upper bound for the
    layer as it is used, at any image size (up to the frequencies between
    those of the grid). The norm of the kernel reshaped to a matrix, which
    is often used, is neither a bound nor close.

    Args:
        weight (Tensor): (out, in / groups, kh, kw) of the convolution.
        groups (int): Of the convolution.
    """

    def __init__(self, weight: Tensor, groups: int = 1) -> None:
        self.groups = groups
        side = max(GRID, *(2 * size for size in weight.shape[2:]))
        shape = (1, weight.shape[1] * groups, side, side)
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(shape, generator=generator)
        self.image = image.to(weight.device, weight.dtype)

    @torch.no_grad()
    def estimate(self, weight: Tensor, steps: int = 1) -> Tensor:
        """The norm after further steps, from where the last ones ended.

        From below: it grows with the steps and ends at the norm.
        """
        image = self.image / self.image.norm()
        pad = [size - 1 for size in weight.shape[2:]]
        norm = image.norm()
        for _ in range(steps):
            wide = F.pad(image, (0, pad[1], 0, pad[0]), mode='circular')
            out = F.conv2d(wide, weight, groups=self.groups)
            norm = out.norm()
            wide = F.pad(out, (pad[1], 0, pad[0], 0), mode='circular')
            image = F.conv_transpose2d(
                wide, weight, groups=self.groups, padding=pad
            )
            image = image / image.norm().clamp(min=1e-12)
        self.image = image
        return norm
