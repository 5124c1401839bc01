"""What a model keeps that refuses pixels, and how wrong it is."""

from __future__ import annotations

import torch
from torch import Tensor

from . import METRIC
from .metric import JudgedImage, Metric


@METRIC.register('abstention')
class AbstentionCounts(Metric):
    """Coverage, and the error of what is kept and of what is refused.

    Each image counts with the shares of its labelled pixels, as the promise
    of :mod:`mmseg_ddu.core.risk_control` does. Nothing where nothing can be
    refused.
    """

    prefix = 'abstention'
    per_map = False
    in_comparison = False

    def __init__(self) -> None:
        # Shares of kept pixels, and of wrong ones among them; all wrong
        # pixels; images.
        self.sums = torch.zeros(4, dtype=torch.float64)

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        """Add an image, if it has labels and pixels may be refused."""
        number = image.known.sum()
        if image.refused is None or not number:
            return
        kept = image.known & ~image.refused
        parts = kept.sum(), (kept & image.wrong).sum(), image.wrong.sum()
        shares = torch.stack([*parts, number]).double() / number
        self.sums += shares.cpu()

    def figures(self) -> dict[str, float]:
        """``coverage``, ``error``, ``error_kept`` and ``error_refused``."""
        kept, wrong_kept, wrong, images = self.sums.tolist()
        if not images:
            return {}
        found = dict(coverage=kept / images, error=wrong / images)
        if kept:
            found['error_kept'] = wrong_kept / kept
        if kept < images:
            found['error_refused'] = (wrong - wrong_kept) / (images - kept)
        return found
