"""Unknown objects found as objects, not as pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from typing import IO

import cv2
import numpy as np
import torch

from mmseg_ddu.core.metrics.connected_components import ComponentCounts
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.registry import METRICS

from .counting import CountingMetric, log_figures, percent
from .judged_samples import OUT_OF_DISTRIBUTION, score_maps


@METRICS.register_module()
class ComponentMetric(CountingMetric):
    """Component-level sIoU, PPV and F1* of out-of-distribution objects.

    The metrics of SegmentMeIfYouCan (arXiv 2104.14812): the map is cut at a
    threshold, and its 8-connected components are compared with those of
    ``gt_ood_map``, void left out; see ``ComponentCounts``. In percent.

    Without a threshold, that with the best pixel-level F1 over the whole
    data set is taken. It is known only at the end, so the maps wait until
    then in a temporary file: 5 bytes per pixel and score on disk (about
    1 MB for 500x375), nothing in memory.

    Args:
        threshold (float | Mapping[str, float], optional): Above it a pixel
            is called out of distribution; one for all, or one for each
            score (names without ``pred_``).
        min_predicted (int): Smaller predicted components are dropped. The
            default and the next are those of the benchmark's anomaly track,
            for images of 2 million pixels; its obstacle track has 50 and 10.
        min_truth (int): Smaller true components become void.
        **kwargs: ``scores``, …: see ``CountingMetric``.
    """

    default_prefix = 'components'

    def __init__(
        self,
        threshold: float | Mapping[str, float] | None = None,
        min_predicted: int = 500,
        min_truth: int = 100,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold
        self._new_counts = partial(ComponentCounts, min_predicted, min_truth)
        # Maps that wait, and the score of each; gone with the process.
        self._file: IO[bytes] | None = None
        self._aside: list[str] = []
        # Score to (pixel-level F1, threshold).
        self.chosen: dict[str, tuple[float, float]] = {}

    def count(self, sample: dict) -> None:
        """Count one image, or put it aside if there is no threshold yet.

        Raises:
            KeyError: If there is no ``gt_ood_map``, or a score without a
                threshold.
        """
        if 'gt_ood_map' not in sample:
            raise KeyError(
                'ComponentMetric needs gt_ood_map: load the labels with '
                'mmseg_ddu.LoadOoDAnnotations and mmseg_ddu.PackDDUInputs.'
            )
        ood = sample['gt_ood_map']['data'].squeeze(0).cpu()
        for score, values in score_maps(sample, self.scores):
            values = values.float().cpu()
            limit = self.threshold
            if limit is None:
                self._put_aside(score, values, ood)
                continue
            limit = limit[score] if isinstance(limit, Mapping) else limit
            self._count(score, (values > limit).numpy(), ood.numpy())

    def _put_aside(
        self, score: str, values: torch.Tensor, ood: torch.Tensor
    ) -> None:
        known = ood != VOID
        counts = self.counter(('pixels', score), RankingCounts)
        counts.update(values[known], ood[known] == OUT_OF_DISTRIBUTION)
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._aside.append(score)
        np.save(self._file, values.numpy())
        np.save(self._file, ood.numpy().astype(np.uint8))

    def _count(self, score: str, found: np.ndarray, ood: np.ndarray) -> None:
        known = ood != VOID
        counts = self.counter(('components', score), self._new_counts)
        counts.update(
            label_components(found & known),
            label_components(ood == OUT_OF_DISTRIBUTION),
            torch.from_numpy(known),
        )

    def look_again(self) -> None:
        """Choose the thresholds, and count what was put aside."""
        if self.threshold is not None:
            return
        self.chosen = {
            score: counts.best_f1()
            for (_, score), counts in self.gather().items()
            if counts.num_positives and counts.num_negatives
        }
        self.counts = {}
        if self._file is None:
            return
        grid = RankingCounts()
        self._file.seek(0)
        for score in self._aside:
            values, ood = np.load(self._file), np.load(self._file)
            if score in self.chosen:
                values[ood == VOID] = 0  # may be anything there
                limit = torch.tensor(self.chosen[score][1])
                found = grid.key(torch.from_numpy(values)) >= grid.key(limit)
                self._count(score, found.numpy(), ood)
        self._file.close()
        self._file, self._aside = None, []

    def compute_metrics(self, results: dict) -> dict:
        """Metrics from merged counts; also printed as a table."""
        columns: dict[str, dict] = {}
        for (_, score), counts in sorted(results.items()):
            values = dict(
                sIoU=percent(counts.siou()),
                PPV=percent(counts.ppv()),
                F1=percent(counts.f1()),
            )
            if score in self.chosen:
                f1, limit = self.chosen[score]
                values.update(threshold=limit, pixel_F1=percent(f1))
            columns[score] = {k: v for k, v in values.items() if v == v}
        return log_figures('components out of distribution', columns)


def label_components(mask: np.ndarray) -> torch.Tensor:
    """Number the 8-connected components of a (H, W) mask, 0 elsewhere."""
    _, components = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=8
    )
    return torch.from_numpy(components)
