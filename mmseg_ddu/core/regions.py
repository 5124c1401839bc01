"""Means over the regions of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from .bounds import is_lost


def region_means(values: Tensor, regions: Tensor) -> Tensor:
    """Each value replaced by the mean of its region.

    An object that a network does not know is unusual as a whole, while a
    single pixel of it, or the rim of any object, says little. Lost values
    (:mod:`mmseg_ddu.core.bounds`) do not count.

    Args:
        values (Tensor): (N,) float.
        regions (Tensor): (N,) integers from 0; equal numbers are one region.

    Returns:
        Tensor: (N,), in the precision of ``values``.

    Example:
        >>> region_means(torch.tensor([1., 3., 5.]), torch.tensor([0, 0, 4]))
        tensor([2., 2., 5.])
    """
    if len(values) == 0:
        return values
    size = int(regions.max()) + 1
    totals = torch.zeros(2, size, dtype=torch.float64, device=values.device)
    lost = is_lost(values)
    totals[0].index_add_(0, regions, values.double().masked_fill(lost, 0))
    totals[1].index_add_(0, regions, (~lost).double())
    means = totals[0] / totals[1].clamp_min(1)
    return means[regions].to(values.dtype)
