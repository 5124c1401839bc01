"""What is counted for the rows of methods that share their predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.dist import all_gather_object
from torch import Tensor

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import JudgedImage, Metric

from .image_pools import KINDS, PLAIN


@dataclass
class Setting:
    """How everything is measured; the same for all methods.

    Attributes:
        stride (int): Measure every n-th pixel in both directions.
        patch (int): Side of the trio's windows, in such pixels.
        seed (int): Of choices, shifts and dropout.
        timing_images (int): Images that the time is measured on.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        near (list[int]): Mask values that are near out of distribution.

    Raises:
        ValueError: If stride or patch are below 1.
    """

    stride: int = 4
    patch: int = 4
    seed: int = 0
    timing_images: int = 10
    device: str | None = None
    near: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ('stride', 'patch'):
            if getattr(self, name) < 1:
                raise ValueError(
                    f'Expected {name} >= 1, but got {getattr(self, name)}.'
                )

    def new_metrics(self, per_map: bool) -> dict[str, Metric]:
        """Empty counts of all metrics for a map, or for a prediction."""
        patches = dict(size=self.patch)
        options: dict[str, dict] = dict(
            ranking=dict(kinds=KINDS),
            patches=patches,
            patches_void_wrong=patches,
        )
        return {
            name: kind(**options.get(name, {}))
            for name, kind in METRIC.items()
            if kind.in_comparison and kind.per_map == per_map
        }


class RowCounts:
    """The metrics of one prediction, and of each score beside it.

    Args:
        rows (Sequence[str]): Names of the scores.
        setting (Setting): How they are measured.
        shifts (Sequence[str]): Names of the pools of shifted images.

    Attributes:
        unreadable (list[dict]): ``number`` among all images, ``pool`` and
            ``error``.
    """

    def __init__(
        self, rows: Sequence[str], setting: Setting, shifts: Sequence[str]
    ) -> None:
        self.rows, self.setting = list(rows), setting
        self.shifts = list(shifts)
        self._reset()

    def _reset(self) -> None:
        self.unreadable: list[dict] = []
        self.prediction = self.setting.new_metrics(per_map=False)
        self.scores = {
            row: self.setting.new_metrics(per_map=True) for row in self.rows
        }

    def update(
        self, pool: str, image: JudgedImage, scores: dict[str, Tensor]
    ) -> None:
        """Add an image of a pool; scores (H, W)."""
        for metric in self.prediction.values():
            if pool == PLAIN or metric.on_shifts:
                metric.count(image)
        for row, metrics in self.scores.items():
            for metric in metrics.values():
                if pool == PLAIN or metric.on_shifts:
                    metric.count(image, scores[row])

    def _metrics(self) -> Iterator[tuple[str, Metric]]:
        for name, metric in self.prediction.items():
            yield name, metric
        for row, metrics in self.scores.items():
            for name, metric in metrics.items():
                yield f'{row}/{name}', metric

    def state_dict(self) -> dict:
        """All that was counted, in plain tensors and types."""
        metrics = {name: m.state_dict() for name, m in self._metrics()}
        return dict(metrics=metrics, unreadable=self.unreadable)

    def merge_state(self, state: dict) -> None:
        """Add what was counted elsewhere for the same rows."""
        for name, metric in self._metrics():
            metric.merge_state(state['metrics'][name])
        self.unreadable += state['unreadable']

    def synchronize(self) -> None:
        """Merge what all ranks have counted, in rank order, on every rank."""
        parts = all_gather_object(self.state_dict())
        self._reset()
        for part in parts:
            self.merge_state(part)
        self.unreadable.sort(key=lambda row: row['number'])

    def result(self) -> dict[str, dict]:
        """Row to figures and curves."""
        return {
            row: dict(self._figures(metrics), unreadable=list(self.unreadable))
            for row, metrics in self.scores.items()
        }

    def _figures(self, metrics: dict[str, Metric]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        curves: dict[str, Any] = {}
        for metric in [*self.prediction.values(), *metrics.values()]:
            for name, value in metric.figures().items():
                result[key_of(name)] = value
            curves.update(metric.curves())
        ranking = metrics['ranking']
        pixels = dict(in_distribution=ranking.groups.number(*ranking.ordinary))
        suite = {}
        for kind in KINDS:
            number = ranking.groups.number(kind)
            if number:
                pixels[kind] = number
                suite[kind] = result.get(f'{kind}_auroc', math.nan)
        for shift in self.shifts:
            pixels[shift] = ranking.groups.number(shift)
            suite[shift] = math.nan
            if pixels[shift] and pixels['in_distribution']:
                suite[shift] = ranking.against([shift]).auroc()
        values = [value for value in suite.values() if value == value]
        return dict(
            result,
            shifts=suite,
            mean=sum(values) / len(values) if values else math.nan,
            worst=min(values, default=math.nan),
            pixels=pixels,
            curves=curves,
        )


def key_of(figure: str) -> str:
    """Key of a metric's figure in the results: ``mis_E-AURC``, ``mis_e_aurc``.

    Example:
        >>> key_of('mis_E-AURC')
        'mis_e_aurc'
    """
    return figure.lower().replace('-', '_')
