"""Scoring with tensor operations alone, for graphs that are exported.

The engine (:mod:`mmseg_ddu.core.density`) looks at the data as it goes: it
sorts vectors by class and gives classes up early. A graph cannot. These
functions do the same arithmetic for all vectors and all classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .bounds import bounded, is_lost
from .density import GaussianDensity


def present_classes(density: GaussianDensity) -> list[int]:
    """Classes that were seen in the fit, which a graph takes as constant."""
    return density.log_priors.isfinite().nonzero().flatten().tolist()


def dense_log_probs(
    density: GaussianDensity,
    features: Tensor,
    present: Sequence[int],
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log densities of vectors, under each class and under all of them.

    Memory: N K numbers at a time, where the engine takes blocks.

    Args:
        density (GaussianDensity): Fitted.
        features (Tensor): (N, D), float32.
        present (Sequence[int]): See :func:`present_classes`.
        scale (Tensor, optional): (N,), multiplies the vectors.

    Returns:
        tuple[Tensor, Tensor]: (C, N) as ``log_prob_of`` gives it, so a class
        that was never seen has the density of all classes; and (N,) as
        ``score_samples`` gives it. In nats.
    """
    gaussians = density._gaussians()
    vectors, constant = density._prepare(features, scale, slice(None))
    joint = gaussians.log_prob(vectors, present, gaussians.shifts())
    joint = bounded(joint + constant)
    mixture = bounded((joint + density.log_priors[present, None]).logsumexp(0))
    rows = dict(zip(present, joint.unbind(0)))
    every = [rows.get(label, mixture) for label in range(density.num_classes)]
    return torch.stack(every), mixture


def dense_region_means(
    values: Tensor, regions: Tensor, num_regions: int
) -> Tensor:
    """Each value replaced by the mean of its region in its image.

    Args:
        values (Tensor): (B, 1, h, w), float.
        regions (Tensor): (B, 1, h, w), integers in ``[0, num_regions)``.
        num_regions (int): R.

    Returns:
        Tensor: (B, 1, h, w).

    Example:
        >>> values = torch.tensor([1., 3., 5.]).reshape(1, 1, 1, 3)
        >>> regions = torch.tensor([0, 0, 4]).reshape(1, 1, 1, 3)
        >>> dense_region_means(values, regions, 5).flatten()
        tensor([2., 2., 5.])
    """
    flat = values.flatten(1)[:, None]  # (B, 1, N)
    lost = is_lost(flat)
    member = F.one_hot(regions.flatten(1), num_regions).to(values)  # (B, N, R)
    totals = flat.masked_fill(lost, 0) @ member  # (B, 1, R)
    means = totals / ((~lost).to(member) @ member).clamp_min(1)
    return (member * means).sum(2).reshape(values.shape)


def nearest_classes(classes: Tensor, size: Sequence[int]) -> Tensor:
    """``F.interpolate`` in mode ``nearest-exact``, by whole numbers.

    Args:
        classes (Tensor): (B, 1, H, W), integers.
        size (Sequence[int]): h and w.

    Returns:
        Tensor: (B, 1, h, w).
    """
    rows, columns = (
        torch.div(
            (2 * torch.arange(new, device=classes.device) + 1) * old,
            2 * new,
            rounding_mode='floor',
        )
        for old, new in zip(classes.shape[2:], size)
    )
    return classes.index_select(2, rows).index_select(3, columns)


def dense_inverse_norms(features: Tensor) -> Tensor:
    """One over the length, (N, D) -> (N,), as ``inverse_norms``."""
    largest = features.abs().amax(1).clamp_min(1e-12)
    lengths = (features / largest[:, None]).square().sum(1).sqrt()
    return (largest * lengths).clamp_min(1e-12).reciprocal()
