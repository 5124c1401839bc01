"""Are strange images told from ordinary ones?"""

from __future__ import annotations

import torch
from torch import Tensor

from . import METRIC
from .metric import JudgedImage, Metric
from .ranking_counts import RankingCounts


@METRIC.register('novelty')
class NoveltyRanking(Metric):
    """Mean percentile of ``image_novelty``, and AUROC over images.

    An image is shifted if it has out-of-distribution pixels and no others;
    so are those of ``WithShift``. Figures: ``percentile`` of the other
    images in [0, 1], and where there are shifted ones ``shifted_percentile``
    and ``AUROC``, shifted against other images.
    """

    prefix = 'novelty'
    per_map = False
    in_comparison = False  # which has it as a row of its own
    not_percent = ('percentile', 'shifted_percentile')

    def __init__(self) -> None:
        self.ranking = RankingCounts(bits=32)
        # Rows: other, shifted. Columns: images, sum of their percentiles.
        self.sums = torch.zeros(2, 2, dtype=torch.float64)

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        """Add an image, if the model says how novel it is."""
        if image.novelty is None or image.novelty_percentile is None:
            return
        ordinary = image.known.any()
        if image.unlabelled is not None:
            ordinary = ordinary | image.unlabelled.any()
        strange = any(mask.any() for mask in image.strange.values())
        shifted = bool(strange and not ordinary)
        self.ranking.update(
            torch.tensor([image.novelty]), torch.tensor([shifted])
        )
        self.sums[int(shifted), 0] += 1
        self.sums[int(shifted), 1] += image.novelty_percentile

    def figures(self) -> dict[str, float]:
        """Those of the class."""
        images, totals = self.sums.T
        means = zip(self.not_percent, (totals / images).tolist())
        result = {name: mean for name, mean in means if mean == mean}
        if len(result) == 2:
            result['AUROC'] = self.ranking.auroc()
        return result
