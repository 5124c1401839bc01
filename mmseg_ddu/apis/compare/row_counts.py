"""What is counted for the rows of methods that share their predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_dist_info, is_main_process
from mmengine.logging import MMLogger
from torch import Tensor

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import JudgedImage
from mmseg_ddu.engine.ranks import on_main
from mmseg_ddu.fileio import atomic_write

from .image_pools import KINDS, PLAIN

PREDICTION = ''  # in place of a row, for metrics that judge no map


class RowCounts:
    """The metrics of one prediction, and of each score (row) beside it.

    ``unreadable`` are images: ``number`` among all, ``pool`` and ``error``.
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
        """Add an image of a pool; row to score (H, W)."""
        for (row, _), metric in self.metrics.items():
            if pool == PLAIN or metric.on_shifts:
                metric.count(image, scores.get(row))

    def _of_each_rank(self) -> list[dict]:
        metrics = {key: m.state_dict() for key, m in self.metrics.items()}
        state = dict(metrics=metrics, unreadable=self.unreadable)
        return all_gather_object(state)

    def _merge(self, parts: Sequence[dict]) -> None:
        for part in parts:
            for key, metric in self.metrics.items():
                metric.merge_state(part['metrics'][key])
            self.unreadable += part['unreadable']

    def of_all_ranks(self) -> RowCounts:
        """What all ranks have counted, merged in their order, on each."""
        merged = RowCounts(self.rows, self.shifts, self.patch)
        merged._merge(self._of_each_rank())
        merged.unreadable.sort(key=lambda image: image['number'])
        return merged

    def save(self, path: Path, done: int) -> None:
        """Write what all ranks have counted after ``done`` images of theirs.

        If that fails, as on a full disk, the measurement goes on.
        """
        content = dict(done=done, parts=self._of_each_rank())
        if is_main_process():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as temporary:
                    torch.save(content, temporary)
            except (OSError, RuntimeError) as error:  # torch's is the latter
                MMLogger.get_current_instance().warning(
                    f'What was counted cannot be saved: {error}'
                )

    def load(self, path: Path) -> int:
        """Add what was saved to new counts; how many images that were.

        With as many ranks as before every sum goes on where it was, and the
        figures are bit for bit those of a run without a stop.
        """
        content = on_main(_read, path)
        rank, world = get_dist_info()
        self._merge(content['parts'][rank::world])
        return content['done']

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
        ordinary = ranking.against([]).num_negatives
        pixels, suite = dict(in_distribution=ordinary), {}
        for name in (*KINDS, *self.shifts):
            counts = ranking.against([name])
            number = counts.num_positives
            if number or name not in KINDS:
                pixels[name] = number
                there = number and ordinary
                suite[name] = counts.auroc() if there else math.nan
        values = [value for value in suite.values() if value == value]
        return dict(
            result,
            shifts=suite,
            mean=fmean(values) if values else math.nan,
            worst=min(values, default=math.nan),
            pixels=pixels,
            curves=curves,
            unreadable=list(self.unreadable),
        )


def _read(path: Path) -> dict:
    if path.is_file():
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch raises what it likes
            MMLogger.get_current_instance().warning(
                f'{path} is damaged, and its methods start anew: {error}'
            )
    return dict(done=0, parts=[])


def key_of(figure: str) -> str:
    """Key in the results: ``mis_e_aurc`` of a metric's ``mis_E-AURC``."""
    return figure.lower().replace('-', '_')
