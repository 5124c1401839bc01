"""Accuracy against uncertainty of patches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from prettytable import PrettyTable

from mmseg_ddu.core.patches import PatchCounts, PatchCurves
from mmseg_ddu.registry import METRICS

from .counting import CountingMetric, label_masks, percent, print_table


@METRICS.register_module()
class PAvPUMetric(CountingMetric):
    """p(accurate | certain), p(uncertain | inaccurate) and PAvPU.

    Over all patches of the data set together, in constant memory; the
    uncertainty threshold is a percentile of the patches themselves. Each
    figure is the mean over the percentiles 1, 2, … 100, in percent. After
    ``evaluate``, ``curves`` holds the whole curves: score to
    ``PatchCurves``.

    Out-of-distribution pixels count as void.

    Args:
        size (int): Side of a patch in pixels; 1 for single pixels.
        accuracy (float): A patch is accurate above this share of right
            pixels.
        void_inaccurate (bool): Count void pixels as wrong instead of
            leaving them out.
        percentiles (Sequence[float]): Also report the trio there, with the
            suffix ``@p``.
        **kwargs: ``scores``, ``ignore_index``, …: see ``CountingMetric``.
    """

    default_prefix = 'pavpu'

    def __init__(
        self,
        size: int = 4,
        accuracy: float = 0.5,
        void_inaccurate: bool = False,
        percentiles: Sequence[float] = (),
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self._new_counts = partial(
            PatchCounts, size, accuracy, void_inaccurate
        )
        self._new_counts()  # wrong settings are an error now
        self.percentiles = tuple(percentiles)
        self.curves: dict[str, PatchCurves] = {}

    def count(self, sample: dict) -> None:
        """Add one image, for every score."""
        masks = label_masks(sample, self.ignore_index)
        for score, values in self.score_maps(sample):
            counts = self.counter(score, self._new_counts)
            counts.update(values, ~masks['wrong'], masks['known'])

    def compute_metrics(self, results: dict) -> dict:
        """Metrics from merged counts; also printed as a table."""
        results = {k: v for k, v in sorted(results.items()) if v.num_windows}
        self.curves = {k: v.at_percentiles() for k, v in results.items()}
        metrics: dict[str, float] = {}
        table = PrettyTable(
            ['score', 'p(acc|cert)', 'p(unc|inacc)', 'PAvPU', 'threshold']
        )
        for score, counts in results.items():
            rows = {'': self.curves[score]}
            for p in self.percentiles:
                rows[f'@{p:g}'] = counts.at_percentiles(torch.tensor([p]))
            for suffix, curves in rows.items():
                values = summary(curves)
                for name, value in values.items():
                    metrics[f'{score}_{name}{suffix}'] = value
                table.add_row([score, *values.values(), suffix or 'mean'])
        settings = self._new_counts()
        void = 'wrong' if settings.void_inaccurate else 'left out'
        print_table(
            f'PAvPU (patches of {settings.size}x{settings.size}, void {void}, '
            'thresholds: percentiles)',
            table,
        )
        return metrics


def summary(curves: PatchCurves) -> dict[str, float]:
    """Means over the thresholds, in percent."""
    return dict(
        p_accurate_certain=percent(curves.accurate_certain.nanmean()),
        p_uncertain_inaccurate=percent(curves.uncertain_inaccurate.nanmean()),
        PAvPU=percent(curves.pavpu.nanmean()),
    )
