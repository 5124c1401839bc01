"""Are the class probabilities right?"""

from __future__ import annotations

from functools import partial

import torch
from prettytable import PrettyTable

from mmseg_ddu.core.calibration import CalibrationCounts
from mmseg_ddu.registry import METRICS

from .counting import CountingMetric, label_masks, percent, print_table


@METRICS.register_module()
class CalibrationMetric(CountingMetric):
    """ECE, adaptive ECE, NLL and Brier score of ``seg_logits``.

    Over all in-distribution pixels of the data set together, in constant
    memory. ECE and adaptive ECE (``aECE``, bins of equal mass) in percent,
    NLL in nats; the Brier score sums over classes, from 0 to 2. After
    ``evaluate``, ``merged`` holds the ``CalibrationCounts``, for a
    reliability diagram.

    A network with a single output channel gives the probability of its
    second class in ``seg_logits``; that is mmseg's custom.

    Args:
        n_bins (int): Bins of ECE and adaptive ECE.
        **kwargs: ``ignore_index``, …: see ``CountingMetric``.
    """

    default_prefix = 'calibration'

    def __init__(self, n_bins: int = 15, **kwargs) -> None:
        super().__init__(**kwargs)
        self.n_bins = n_bins
        self.merged: CalibrationCounts | None = None

    def count(self, sample: dict) -> None:
        """Add one image."""
        logits = sample['seg_logits']['data']
        masks = label_masks(sample, self.ignore_index)
        label = masks['label'].where(masks['known'], self.ignore_index)
        binary = len(logits) == 1
        if binary:
            logits = torch.cat([1 - logits, logits])
        counts = self.counter('all', self._new_counts)
        counts.update(logits, label, probabilities=binary)

    @property
    def _new_counts(self):
        return partial(CalibrationCounts, self.n_bins, self.ignore_index)

    def compute_metrics(self, results: dict) -> dict:
        """Metrics from merged counts; also printed as a table."""
        counts = results.get('all', self._new_counts())
        self.merged = counts
        if not counts.num_pixels:
            return {}
        metrics = dict(
            ECE=percent(counts.ece()),
            aECE=percent(counts.adaptive_ece()),
            NLL=round(counts.nll(), 4),
            Brier=round(counts.brier(), 4),
        )
        table = PrettyTable(list(metrics))
        table.add_row(list(metrics.values()))
        print_table('calibration', table)
        return metrics
