"""Figures over images, with intervals by drawing the images again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts

RESAMPLES = 100
LEAST_IMAGES = 10  # resamples of fewer vary less than new images do
INTERVAL = (5, 95)  # percentiles of the resamples

Value = dict[str, float | None]  # ``value``, ``low`` and ``high``


class ImagePixels:
    """Scores of positives (N, bool) and others, and their images' numbers."""

    def __init__(
        self, scores: Tensor, positives: Tensor, images: Tensor
    ) -> None:
        keys = RankingCounts().key(scores)
        self.keys, self.place = keys.long().unique(return_inverse=True)
        self.column, self.images = positives.long(), images

    def counts(self, times: Tensor) -> RankingCounts:
        """With the i-th image taken ``times[i]`` times."""
        table = torch.zeros(2 * len(self.keys), dtype=torch.int64)
        where = 2 * self.place + self.column
        table.index_add_(0, where, times[self.images])
        counts = RankingCounts()
        counts.merge_state(dict(keys=self.keys, counts=table.view(-1, 2)))
        return counts


def draws(images: int, seed: int) -> list[Tensor]:
    """How often each image is taken: once, then in each resample.

    Of fewer than ``LEAST_IMAGES`` there are none, so no interval.
    """
    generator = torch.Generator().manual_seed(seed)
    found = [torch.ones(images, dtype=torch.int64)]
    for _ in range(RESAMPLES if images >= LEAST_IMAGES else 0):
        drawn = torch.randint(images, (images,), generator=generator)
        found.append(torch.bincount(drawn, minlength=images))
    return found


def with_interval(
    figure: Callable[[Tensor], float], times: list[Tensor]
) -> Value:
    """A figure of ``times``, with its interval."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # a resample without a positive
        return interval_of([figure(drawn) for drawn in times])


def share_of(chosen: Tensor, images: Tensor, times: list[Tensor]) -> Value:
    """The share of pixels that are chosen, (N,) bool, with its interval."""
    return with_interval(
        lambda t: float(t[images[chosen]].sum() / t[images].sum()), times
    )


def interval_of(values: list[float]) -> Value:
    """The first is the value, the others give its interval.

    In [0, 1], or [-1, 1] where the value is below zero.

    Resamples repeat images, which moves some figures to one side (a
    calibration error grows): their median is moved back to the value.
    """
    value, again = values[0], [v for v in values[1:] if math.isfinite(v)]
    if not math.isfinite(value):
        return dict(value=None, low=None, high=None)
    if not again:
        return dict(value=float(value), low=None, high=None)
    moved = np.percentile(again, INTERVAL) + value - np.median(again)
    low, high = moved.clip(-1 if value < 0 else 0, 1).tolist()
    return dict(value=float(value), low=low, high=high)
