"""How well the maps rank pixels, beside mIoU in the same run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from mmseg_ddu.core.ranking import RankingCounts
from mmseg_ddu.registry import METRICS

SCORES = ('epistemic', 'aleatoric')


@METRICS.register_module()
class UncertaintyMetric(BaseMetric):
    """Ranking quality of ``pred_epistemic`` and ``pred_aleatoric``.

    Over all pixels of the data set together, in constant memory:

    - ``mis``: misclassified against correct pixels, in distribution;
    - ``ood``: out-of-distribution against in-distribution pixels, where the
      data has ``gt_ood_map`` (see ``LoadOoDAnnotations``);
    - ``amb``: pixels of ``ambiguous_classes`` against the other
      in-distribution pixels, where given.

    For each: AUROC, AUPR and FPR95, in percent. A metric without pixels on
    one side is left out.

    Args:
        ignore_index (int): Void label.
        ambiguous_classes (Sequence[str]): Classes that cannot be told
            apart, so that a good aleatoric score is high there.
    """

    default_prefix = 'uncertainty'

    def __init__(
        self,
        ignore_index: int = 255,
        ambiguous_classes: Sequence[str] = (),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            collect_device=collect_device, prefix=prefix, **kwargs
        )
        self.ignore_index = ignore_index
        self.ambiguous_classes = tuple(ambiguous_classes)
        self.counts: dict[tuple[str, str], RankingCounts] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch of predictions with their labels."""
        for sample in data_samples:
            self._process_one(sample)

    def _process_one(self, sample: dict) -> None:
        label = sample['gt_sem_seg']['data'].squeeze(0)
        wrong = sample['pred_sem_seg']['data'].squeeze(0) != label.to(
            sample['pred_sem_seg']['data'].device
        )
        known = (label != self.ignore_index).to(wrong.device)
        # Task to (pixels that take part, those that should score high).
        tasks = {'mis': (known, wrong)}
        if 'gt_ood_map' in sample:
            ood = sample['gt_ood_map']['data'].squeeze(0).to(wrong.device)
            known = known & (ood == 0)
            tasks['mis'] = (known, wrong)
            tasks['ood'] = (known | (ood == 1), ood == 1)
        if self.ambiguous_classes:
            ids = [
                self.dataset_meta['classes'].index(name)
                for name in self.ambiguous_classes
            ]
            ambiguous = torch.isin(label, torch.tensor(ids).to(label))
            tasks['amb'] = (known, ambiguous.to(wrong.device))
        for score in SCORES:
            if f'pred_{score}' not in sample:
                continue
            values = sample[f'pred_{score}']['data'].squeeze(0)
            for task, (mask, positive) in tasks.items():
                counts = self.counts.setdefault((score, task), RankingCounts())
                counts.update(values[mask], positive[mask])

    def evaluate(self, size: int) -> dict:
        """Merge the counts of all ranks and compute the metrics."""
        merged: dict[tuple[str, str], RankingCounts] = {}
        for part in all_gather_object(self.counts):
            for key, counts in part.items():
                merged.setdefault(key, RankingCounts()).merge(counts)
        self.counts = {}
        metrics = self.compute_metrics(merged)
        return {f'{self.prefix}/{key}': v for key, v in metrics.items()}

    def compute_metrics(self, results: dict) -> dict:
        """Metrics from merged counts; also printed as a table."""
        metrics: OrderedDict[str, float] = OrderedDict()
        table = PrettyTable(
            ['score', 'positives', 'share', 'AUROC', 'AUPR', 'FPR95']
        )
        for (score, task), counts in sorted(results.items()):
            positives, negatives = counts.num_positives, counts.num_negatives
            if not positives or not negatives:
                continue
            values = dict(
                AUROC=counts.auroc(),
                AUPR=counts.aupr(),
                FPR95=counts.fpr_at_tpr(0.95),
            )
            values = {k: round(100 * v, 2) for k, v in values.items()}
            for name, value in values.items():
                metrics[f'{score}_{task}_{name}'] = value
            share = 100 * positives / (positives + negatives)
            table.add_row([score, task, f'{share:.2f}%', *values.values()])
        print_log(
            'uncertainty (positives: mis = misclassified, ood = out of '
            'distribution, amb = ambiguous classes):\n' + table.get_string(),
            logger=MMLogger.get_current_instance(),
        )
        return metrics
