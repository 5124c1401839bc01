"""Unknown objects found as objects, not as pixels."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from contextlib import suppress

import cv2
import numpy as np
import torch

from mmseg_ddu.core.metrics.connected_components import ComponentCounts
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.registry import METRICS

from .counting import CountingMetric, percent
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
        self.sizes = min_predicted, min_truth
        # Maps that wait for a threshold; gone with the process.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._pixels: dict[str, RankingCounts] = {}

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
        ood = sample['gt_ood_map']['data'].squeeze(0).byte().cpu().numpy()
        for score, values in score_maps(sample, self.scores):
            values = values.float().cpu().numpy()
            limit = self.threshold
            if limit is None:
                self._put_aside(score, values, ood)
                continue
            limit = limit[score] if isinstance(limit, Mapping) else limit
            self._count(score, values > limit, ood)

    def _put_aside(
        self, score: str, values: np.ndarray, ood: np.ndarray
    ) -> None:
        known = ood != VOID
        positives = ood[known] == OUT_OF_DISTRIBUTION
        self._pixels.setdefault(score, RankingCounts()).update(
            torch.from_numpy(values[known]), torch.from_numpy(positives)
        )
        pickle.dump((score, values, ood), self._file)

    def _count(self, score: str, found: np.ndarray, ood: np.ndarray) -> None:
        known = ood != VOID
        counts = self.counts.setdefault(score, ComponentCounts(*self.sizes))
        counts.update(
            label_components(found & known),
            label_components(ood == OUT_OF_DISTRIBUTION),
            torch.from_numpy(known),
        )

    def compute_metrics(self, results: dict) -> dict[str, dict]:
        """Score to its figures, from merged counts."""
        chosen: dict[str, dict] = {}
        if self.threshold is None:
            chosen = self._choose()
            results = self.merged_counts()
        columns = {}
        for score, counts in results.items():
            shares = dict(sIoU=counts.siou(), PPV=counts.ppv(), F1=counts.f1())
            figures = {n: percent(v) for n, v in shares.items() if v == v}
            columns[score] = {**figures, **chosen.get(score, {})}
        return columns

    def _choose(self) -> dict[str, dict]:
        """Choose thresholds, and count what was put aside."""
        self.counts, self._pixels = self._pixels, {}
        chosen = {}
        for score, pixels in self.merged_counts().items():
            if pixels.num_positives and pixels.num_negatives:
                f1, limit = pixels.best_f1()
                chosen[score] = dict(threshold=limit, pixel_F1=percent(f1))
        self._file.seek(0)
        with suppress(EOFError):
            while True:
                score, values, ood = pickle.load(self._file)
                if score in chosen:
                    found = values >= chosen[score]['threshold']
                    self._count(score, found, ood)
        self._file.seek(0)
        self._file.truncate()
        return chosen


def label_components(mask: np.ndarray) -> torch.Tensor:
    """Number the 8-connected components of a (H, W) mask, 0 elsewhere."""
    _, components = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=8
    )
    return torch.from_numpy(components)
