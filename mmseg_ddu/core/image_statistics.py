"""Statistics of a whole image: colours, contrast, fine structure."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 4  # of fine structure: 1, 2, 4 and 8 pixels
SMALLEST = 1e-8  # of a variance
ROUNDING = 1e-5  # of the variance of the image


def num_statistics(channels: int) -> int:
    """Numbers that :func:`image_statistics` gives."""
    return channels * (2 + LEVELS) + channels - 1


def image_statistics(images: Tensor) -> Tensor:
    """Log variances and means of each channel, (B, C, H, W) -> (B, S).

    In order: the mean; the log variance of what is left after averaging over
    8 x 8 pixels; the log variance within blocks of 2, 4, 8 and 16 pixels less
    that within half as large ones (noise, blur and compression show there);
    and the log variance of the differences between neighbouring channels
    (faded and foreign colours).

    float32, a fixed number of operations, without a look at the data.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = images.float()
        variance, means = torch.var_mean(images, (2, 3), correction=0)
        gaps = images[:, 1:] - images[:, :-1]
        between = torch.var(gaps, (2, 3), correction=0)
        variances = [variance]
        for _ in range(LEVELS):
            images = F.avg_pool2d(images, 2, ceil_mode=True)
            variances.append(torch.var(images, (2, 3), correction=0))
        every = torch.stack(variances, 1)  # from fine to coarse
        inside = (every[:, :-1] - every[:, 1:]).flatten(1)
        numbers = torch.cat([variances[-1], inside, between], 1)
        # Less than rounding makes of a difference is no structure.
        floor = every[:, 0].mean(1, keepdim=True) * ROUNDING + SMALLEST
        return torch.cat([means, numbers.maximum(floor).log()], 1)
