"""What the metrics of this package share: counts instead of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmseg_ddu.core.metrics.metric import VOID


class CountingMetric(BaseMetric):
    """Counts pixels image by image and merges the counts of all ranks.

    Memory does not grow with the data set, and several processes give the
    same figures as one: images that a sampler shows twice, so that each
    process gets as many, count once. A subclass implements ``count`` (one
    image, into ``self.counts``) and ``compute_metrics`` (map to figures).

    Args:
        scores (Sequence[str], optional): Fields of the predictions to judge,
            (1, H, W) and rising with uncertainty. None: those present of
            ``pred_aleatoric``, ``pred_epistemic`` and ``pred_total``.
        ignore_index (int): Void label.
        prefix (str, optional): See mmengine.
    """

    def __init__(
        self,
        scores: Sequence[str] | None = None,
        ignore_index: int = VOID,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix=prefix)
        self.scores = scores
        self.ignore_index = ignore_index
        self.counts: dict[str, Any] = {}  # of each map
        self._number = 0
        self._waiting: list[dict] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch of predictions with their labels.

        The last image of one of several processes may be a copy, which only
        ``evaluate`` can tell; it waits until then.
        """
        self._number += len(data_samples)
        images = [*self._waiting, *data_samples]
        self._waiting = images[-1:] if get_world_size() > 1 else []
        for sample in images[: len(images) - len(self._waiting)]:
            self.count(sample)

    def count(self, sample: dict) -> None:
        raise NotImplementedError

    def evaluate(self, size: int) -> dict:
        """Merge the counts of all ranks; compute and print the metrics.

        Args:
            size (int): Images of the data set, each counted once.
        """
        numbers = all_gather_object(self._number)
        if not last_is_copy(get_rank(), numbers, size):
            for sample in self._waiting:
                self.count(sample)
        self._number, self._waiting = 0, []
        columns = self.compute_metrics(self.merged_counts())
        if any(columns.values()):
            print_log(f'{self.prefix}:\n{_table(columns)}', logger='current')
        return {
            f'{self.prefix}/' + '_'.join(filter(None, (column, name))): value
            for column, figures in columns.items()
            for name, value in figures.items()
        }

    def merged_counts(self) -> dict[str, Any]:
        """Counts of all ranks together, in the order of the maps."""
        parts = all_gather_object(self.counts)
        self.counts = {}
        merged: dict[str, Any] = {}
        for name, counts in (item for part in parts for item in part.items()):
            if name in merged:
                merged[name].merge(counts)
            else:
                merged[name] = counts
        return dict(sorted(merged.items()))


def last_is_copy(rank: int, numbers: Sequence[int], size: int) -> bool:
    """Whether the last image of a process is there only to fill up.

    Samplers deal the images out one by one, and the copies at the end, as
    mmengine's own metrics assume too. ``numbers`` are the images of each
    process, ``size`` those of the data set.

    Example:
        >>> [last_is_copy(rank, [2, 2, 2], 5) for rank in range(3)]
        [False, False, True]
    """
    round_ = numbers[rank] - 1
    behind = sum(
        max(0, number - round_ - (other <= rank))
        for other, number in enumerate(numbers)
    )
    return behind < sum(numbers) - size


def percent(value: float) -> float:
    """As it is printed."""
    return round(100 * float(value), 3)


def _table(columns: dict[str, dict]) -> str:
    table = PrettyTable(['figure', *(name or 'value' for name in columns)])
    table.align = 'r'
    for name in dict.fromkeys(n for c in columns.values() for n in c):
        table.add_row([name, *(c.get(name, '') for c in columns.values())])
    return table.get_string()
