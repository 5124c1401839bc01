"""What the metrics of this package share: counts instead of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable


class CountingMetric(BaseMetric):
    """Counts pixels image by image and merges the counts of all ranks.

    Memory does not grow with the data set, and several processes give the
    same figures as one: images that a sampler shows twice, so that each
    process gets as many, count once. A subclass implements ``count`` (one
    image) and ``compute_metrics`` (from merged counts).

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
        ignore_index: int = 255,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix=prefix)
        self.scores = None if scores is None else tuple(scores)
        self.ignore_index = ignore_index
        self.counts: dict[Any, Any] = {}
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
        """Add one image to ``self.counts``."""
        raise NotImplementedError

    def counter(self, key: Any, factory: Callable[[], Any]) -> Any:
        """The counts under ``key``, new ones at first."""
        if key not in self.counts:
            self.counts[key] = factory()
        return self.counts[key]

    def evaluate(self, size: int) -> dict:
        """Merge the counts of all ranks and compute the metrics.

        Args:
            size (int): Images of the data set, each counted once.
        """
        numbers = all_gather_object(self._number)
        if not last_is_copy(get_rank(), numbers, size):
            for sample in self._waiting:
                self.count(sample)
        self._number, self._waiting = 0, []
        self.look_again()
        merged = self.gather()
        self.counts = {}
        metrics = self.compute_metrics(merged)
        return {f'{self.prefix}/{key}': v for key, v in metrics.items()}

    def look_again(self) -> None:
        """For subclasses that need all images to count any."""

    def gather(self) -> dict:
        """Counts of all ranks together, without changing any."""
        merged: dict[Any, Any] = {}
        for part in all_gather_object(self.counts):
            for key, counts in part.items():
                if key in merged:
                    merged[key].merge(counts)
                else:
                    merged[key] = counts
        return merged


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


def log_figures(title: str, columns: Mapping[str, Mapping[str, Any]]) -> dict:
    """Write a table with a line for each figure into mmengine's log.

    Args:
        title (str): Above it.
        columns (Mapping): Name of a map, or ``''``, to figure to value.

    Returns:
        dict: The same in one, such as ``total_F1``.
    """
    if any(columns.values()):
        table = PrettyTable(['figure', *(n or 'value' for n in columns)])
        table.align = 'r'
        for name in dict.fromkeys(n for c in columns.values() for n in c):
            table.add_row([name, *(c.get(name, '') for c in columns.values())])
        print_log(f'{title}:\n{table.get_string()}', logger='current')
    return {
        f'{column}_{name}' if column else name: value
        for column, figures in columns.items()
        for name, value in figures.items()
    }
