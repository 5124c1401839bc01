"""How well the maps rank pixels, beside mIoU in the same run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from prettytable import PrettyTable

from mmseg_ddu.core.ranking import RankingCounts
from mmseg_ddu.core.selective import aurc, e_aurc
from mmseg_ddu.registry import METRICS

from .counting import (
    CountingMetric,
    class_ids,
    label_masks,
    percent,
    print_table,
)


@METRICS.register_module()
class UncertaintyMetric(CountingMetric):
    """Ranking quality of uncertainty maps.

    Over all pixels of the data set together, in constant memory:

    - ``mis``: misclassified against correct pixels, in distribution;
    - ``ood``: out-of-distribution against in-distribution pixels, where the
      data has ``gt_ood_map`` (see ``LoadOoDAnnotations``);
    - ``amb``: pixels of ``ambiguous_classes`` against the other
      in-distribution pixels, where given.

    For each: AUROC, AUPR and FPR95, and for ``mis`` the area under the
    risk-coverage curve (AURC) and its excess over the best ordering
    (E-AURC), all in percent. A metric without pixels on one side is left
    out.

    Args:
        ambiguous_classes (Sequence[str]): Classes that cannot be told
            apart, so that a good aleatoric score is high there.
        **kwargs: ``scores``, ``ignore_index``, …: see ``CountingMetric``.
    """

    default_prefix = 'uncertainty'

    def __init__(
        self, ambiguous_classes: Sequence[str] = (), **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.ambiguous_classes = tuple(ambiguous_classes)

    def count(self, sample: dict) -> None:
        """Add one image, for every score and task."""
        masks = label_masks(sample, self.ignore_index)
        known, wrong = masks['known'], masks['wrong']
        # Task to (pixels that take part, those that should score high).
        tasks = {'mis': (known, wrong)}
        if 'ood' in masks:
            rated = masks['in_distribution'] | masks['ood']
            tasks['ood'] = (rated, masks['ood'])
        if self.ambiguous_classes:
            ids = class_ids(
                self.ambiguous_classes, self.dataset_meta['classes']
            )
            label = masks['label']
            tasks['amb'] = (known, torch.isin(label, ids.to(label)))
        chosen = {}
        for task, (mask, positive) in tasks.items():
            where = mask.flatten().nonzero()[:, 0]
            chosen[task] = where, positive.flatten()[where]
        for score, values in self.score_maps(sample):
            for task, (where, positive) in chosen.items():
                counts = self.counter((score, task), RankingCounts)
                counts.update(values.flatten()[where], positive)

    def compute_metrics(self, results: dict) -> dict:
        """Metrics from merged counts; also printed as a table."""
        metrics: OrderedDict[str, float] = OrderedDict()
        columns = ['AUROC', 'AUPR', 'FPR95', 'AURC', 'E-AURC']
        table = PrettyTable(['score', 'positives', 'share', *columns])
        for (score, task), counts in sorted(results.items()):
            positives, negatives = counts.num_positives, counts.num_negatives
            if not positives or not negatives:
                continue
            values = ranking_metrics(counts, selective=task == 'mis')
            for name, value in values.items():
                metrics[f'{score}_{task}_{name}'] = value
            share = 100 * positives / (positives + negatives)
            row = [values.get(name, '') for name in columns]
            table.add_row([score, task, f'{share:.2f}%', *row])
        print_table(
            'uncertainty (positives: mis = misclassified, ood = out of '
            'distribution, amb = ambiguous classes)',
            table,
        )
        return metrics


def ranking_metrics(counts: RankingCounts, selective: bool) -> dict:
    """AUROC, AUPR, FPR95 and, if asked for, AURC and E-AURC in percent."""
    values = dict(
        AUROC=percent(counts.auroc()),
        AUPR=percent(counts.aupr()),
        FPR95=percent(counts.fpr_at_tpr(0.95)),
    )
    if selective:
        values['AURC'] = percent(aurc(counts), 3)
        values['E-AURC'] = percent(e_aurc(counts), 3)
    return values
