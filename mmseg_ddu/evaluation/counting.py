"""What the metrics of this package share: counts instead of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable
from torch import Tensor

SCORES = ('pred_epistemic', 'pred_aleatoric')


class CountingMetric(BaseMetric):
    """Counts pixels image by image and merges the counts of all ranks.

    Memory does not grow with the data set, and several processes give the
    same figures as one: images that a sampler shows twice, so that each
    process gets as many, count once. A subclass implements ``count`` (one
    image) and ``compute_metrics`` (from merged counts).

    Args:
        scores (Sequence[str], optional): Fields of the predictions to judge,
            (1, H, W) and rising with uncertainty. None: those present of
            ``pred_epistemic`` and ``pred_aleatoric``.
        ignore_index (int): Void label.
        collect_device (str): See mmengine.
        prefix (str, optional): See mmengine.
    """

    def __init__(
        self,
        scores: Sequence[str] | None = None,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            collect_device=collect_device, prefix=prefix, **kwargs
        )
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

    def score_maps(self, sample: dict) -> Iterator[tuple[str, Tensor]]:
        """Name without ``pred_``, and (H, W) map, of each score.

        Raises:
            KeyError: If a score that was asked for is not there.
        """
        for field in SCORES if self.scores is None else self.scores:
            if field in sample:
                values = sample[field]['data'].squeeze(0)
                yield field.removeprefix('pred_'), values
            elif self.scores is not None:
                there = sorted(k for k in sample if k.startswith('pred_'))
                raise KeyError(
                    f'{type(self).__name__} is to judge {field}, but the '
                    f'predictions have only {there}; correct scores=… of '
                    'the metric.'
                )

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
    mmengine's own metrics assume too.

    Args:
        rank (int): The process.
        numbers (Sequence[int]): Images of each process.
        size (int): Images of the data set.

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


def label_masks(sample: dict, ignore_index: int) -> dict[str, Tensor]:
    """Where an image has what, (H, W) each, on the predictions' device.

    Returns:
        dict[str, Tensor]: ``label``; ``known`` (labelled and in
        distribution), ``wrong`` (prediction and label differ); ``ood`` and
        ``in_distribution`` (with or without a label) where the data has
        ``gt_ood_map``; bool but for the first.
    """
    predicted = sample['pred_sem_seg']['data'].squeeze(0)
    label = sample['gt_sem_seg']['data'].squeeze(0).to(predicted.device)
    masks = dict(
        label=label, known=label != ignore_index, wrong=predicted != label
    )
    if 'gt_ood_map' in sample:
        ood = sample['gt_ood_map']['data'].squeeze(0).to(predicted.device)
        masks['in_distribution'] = ood == 0
        masks['known'] = masks['known'] & masks['in_distribution']
        masks['ood'] = ood == 1
    return masks


def percent(value: float, digits: int = 2) -> float:
    """As it is printed."""
    return round(100 * float(value), digits)


def print_table(title: str, table: PrettyTable) -> None:
    """Into mmengine's log."""
    print_log(
        f'{title}:\n{table.get_string()}',
        logger=MMLogger.get_current_instance(),
    )


def class_ids(names: Sequence[str], classes: Sequence[str]) -> Tensor:
    """Labels of classes given by name."""
    return torch.tensor([classes.index(name) for name in names])
