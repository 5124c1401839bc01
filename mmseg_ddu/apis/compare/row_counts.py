"""What is counted for the rows of methods that share their predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.dist import all_gather_object
from torch import Tensor

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import JudgedImage

from .image_pools import KINDS, PLAIN

PREDICTION = ''  # in place of a row, for metrics that judge no map


class RowCounts:
    """The metrics of one prediction, and of each score beside it.

    Args:
        rows (Sequence[str]): Names of the scores.
        shifts (Sequence[str]): Names of the pools of shifted images.
        patch (int): Side of the trio's windows, in measured pixels.

    Attributes:
        unreadable (list[dict]): ``number`` among all images, ``pool`` and
            ``error``.
    """

    def __init__(
        self, rows: Sequence[str], shifts: Sequence[str], patch: int
    ) -> None:
        self.rows, self.shifts, self.patch = list(rows), list(shifts), patch
        self.unreadable: list[dict] = []
        options: dict[str, dict] = dict(
            ranking=dict(kinds=KINDS),
            patches=dict(size=patch),
            patches_void_wrong=dict(size=patch),
        )
        self.metrics = {
            (row, name): kind(**options.get(name, {}))
            for row in (PREDICTION, *rows)
            for name, kind in METRIC.items()
            if kind.in_comparison and kind.per_map == (row != PREDICTION)
        }

    def update(
        self, pool: str, image: JudgedImage, scores: dict[str, Tensor]
    ) -> None:
        """Add an image of a pool; scores (H, W)."""
        for (row, _), metric in self.metrics.items():
            if pool == PLAIN or metric.on_shifts:
                metric.count(image, scores.get(row))

    def state_dict(self) -> dict:
        """All that was counted, in plain tensors and types."""
        metrics = {key: m.state_dict() for key, m in self.metrics.items()}
        return dict(metrics=metrics, unreadable=self.unreadable)

    def merge_state(self, state: dict) -> None:
        """Add what was counted elsewhere for the same rows."""
        for key, metric in self.metrics.items():
            metric.merge_state(state['metrics'][key])
        self.unreadable += state['unreadable']

    def of_all_ranks(self) -> RowCounts:
        """What all ranks have counted, merged in their order, on each."""
        merged = RowCounts(self.rows, self.shifts, self.patch)
        for part in all_gather_object(self.state_dict()):
            merged.merge_state(part)
        merged.unreadable.sort(key=lambda image: image['number'])
        return merged

    def result(self) -> dict[str, dict]:
        """Row to figures and curves."""
        return {row: self._entry(row) for row in self.rows}

    def _entry(self, row: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        curves: dict[str, Any] = {}
        for (part, _), metric in self.metrics.items():
            if part in (PREDICTION, row):
                figures = metric.figures()
                result.update({key_of(k): v for k, v in figures.items()})
                curves.update(metric.curves())
        ranking = self.metrics[row, 'ranking']
        ordinary = ranking.groups.number(*ranking.ordinary)
        pixels, suite = dict(in_distribution=ordinary), {}
        for name in (*KINDS, *self.shifts):
            number = ranking.groups.number(name)
            if name in KINDS and not number:
                continue
            pixels[name], suite[name] = number, math.nan
            if number and ordinary:
                suite[name] = ranking.against([name]).auroc()
        values = [value for value in suite.values() if value == value]
        return dict(
            result,
            shifts=suite,
            mean=sum(values) / len(values) if values else math.nan,
            worst=min(values, default=math.nan),
            pixels=pixels,
            curves=curves,
            unreadable=list(self.unreadable),
        )


def key_of(figure: str) -> str:
    """Key of a metric's figure in the results: ``mis_E-AURC``, ``mis_e_aurc``.

    Example:
        >>> key_of('mis_E-AURC')
        'mis_e_aurc'
    """
    return figure.lower().replace('-', '_')
