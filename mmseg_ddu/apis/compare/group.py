"""Measuring methods that share their forward passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.progress import track
from torch.utils.data import Dataset

from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.data import as_batch
from mmseg_ddu.fileio import sha256
from mmseg_ddu.models.heads import last_decode_head

from .costs import measure_cost
from .measure import PredictionMeter, ScoreMeter
from .methods import Prediction, Predictor
from .pixels import PLAIN, Truth, read_item, shifted_pixels
from .specs import Method


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
    """

    stride: int = 4
    patch: int = 4
    seed: int = 0
    timing_images: int = 10
    device: str | None = None
    near: list[int] = field(default_factory=list)


def hashes(method: Method) -> list[dict]:
    """Files of a method; the hash is None for one that is missing."""
    return [
        dict(file=path.name, sha256=sha256(path) if path.is_file() else None)
        for path in method.checkpoints
    ]


def run_group(
    methods: Sequence[Method],
    cfg: Config,
    setting: Setting,
    pools: Mapping[str, Dataset],
) -> dict[str, dict]:
    """Row to its entry in the results; one that fails has its error there.

    If a group fails, the methods that cannot be built are set apart; if it
    still fails, each method runs alone.
    """
    meta = pools[PLAIN].metainfo
    try:
        entries = _measure(methods, cfg, setting, pools)
    except Exception as error:
        if len(methods) == 1:
            return _failed(methods[0], error)
        broken = {}
        for method in methods:
            try:
                Predictor([method], cfg, setting.device, meta)
            except Exception as reason:
                broken.update(_failed(method, reason))
        good = [m for m in methods if not set(m.rows) & set(broken)]
        parts = [good] if broken and good else [[m] for m in good]
        for part in parts:
            broken.update(run_group(part, cfg, setting, pools))
        return broken
    for method in methods:
        for row, score in method.rows.items():
            entries[row].update(_origin(method), score=score)
    return entries


def _failed(method: Method, error: Exception) -> dict[str, dict]:
    reason = f'{type(error).__name__}: {error}'
    logger = MMLogger.get_current_instance()
    logger.error(f'{method.name} failed: {reason}')
    logger.debug('where it failed', exc_info=error)
    return {
        row: dict(_origin(method), score=score, error=reason)
        for row, score in method.rows.items()
    }


def _origin(method: Method) -> dict:
    return dict(
        method=method.name,
        checkpoints=hashes(method),
        network_seed=_network_seed(method),
    )


def _network_seed(method: Method) -> Any:
    """Seed of the training, where the checkpoint says it."""
    try:
        return read_checkpoint(method.checkpoints[0])['meta'].get('seed')
    except (OSError, ValueError):
        return None


def _measure(
    methods: Sequence[Method],
    cfg: Config,
    setting: Setting,
    pools: Mapping[str, Dataset],
) -> dict[str, dict]:
    """Row to its figures, curves and costs."""
    meta = pools[PLAIN].metainfo
    predictor = Predictor(methods, cfg, setting.device, meta)
    meters = Meters(predictor, setting)
    jobs = [
        (name, index)
        for name, pool in pools.items()
        for index in range(len(pool))
    ]
    title = ', '.join(method.name for method in methods)
    for number, (name, index) in enumerate(track(jobs, title)):
        item = read_item(pools[name], index, name)
        if item is None:
            continue
        torch.manual_seed(setting.seed + number)
        predictions = predictor(as_batch(item), setting.stride)
        meters.update(name, item['data_samples'], predictions)
    del predictor
    result = meters.result()
    for method in methods:
        costs = _costs(method, cfg, setting, pools[PLAIN])
        for row in method.rows:
            result[row].update(costs)
    return result


class Meters:
    """The meters of all predictions and scores of a group."""

    def __init__(self, predictor: Predictor, setting: Setting) -> None:
        self.setting = setting
        head = last_decode_head(predictor.model)
        self.num_classes = predictor.model.num_classes
        self.ignore_index = head.ignore_index
        self.threshold = getattr(head, 'threshold', None) or 0.5
        self.predictions: list[PredictionMeter] = []
        self.scores: dict[str, ScoreMeter] = {
            row: ScoreMeter(setting.patch) for row in predictor.rows
        }
        self.rows: list[list[str]] = []

    def update(
        self, pool: str, sample: Any, predictions: Sequence[Prediction]
    ) -> None:
        """Add an image of a pool."""
        if pool == PLAIN:
            self._update_plain(sample, predictions)
            return
        for prediction in predictions:
            size = prediction.logits.shape[1:]
            chosen = shifted_pixels(sample, size, self.setting.stride)
            for row, score in prediction.scores.items():
                self.scores[row].update_shift(pool, score.cpu()[chosen])

    def _update_plain(
        self, sample: Any, predictions: Sequence[Prediction]
    ) -> None:
        truth = Truth(
            sample, self.setting.stride, self.setting.near, self.ignore_index
        )
        if not self.predictions:
            self.rows = [list(p.scores) for p in predictions]
            self.predictions = [
                PredictionMeter(self.num_classes, self.threshold)
                for _ in predictions
            ]
        for meter, prediction in zip(self.predictions, predictions):
            classes = prediction.classes(self.threshold).cpu()
            meter.update(prediction.logits.cpu(), classes, truth.labels)
            for row, score in prediction.scores.items():
                self.scores[row].update(score.cpu(), classes, truth)

    def result(self) -> dict[str, dict]:
        """Row to figures and curves."""
        result = {}
        for rows, meter in zip(self.rows, self.predictions):
            for row in rows:
                score = self.scores[row]
                result[row] = dict(
                    **meter.result(),
                    **score.result(),
                    pixels=score.pixels(),
                    curves=dict(
                        score.curves(), reliability=meter.reliability()
                    ),
                )
        return result


def _costs(
    method: Method, cfg: Config, setting: Setting, images: Dataset
) -> dict:
    """Costs of a method that runs alone."""
    predictor = Predictor([method], cfg, setting.device, images.metainfo)
    number = min(setting.timing_images, len(images))
    items = [read_item(images, index, PLAIN) for index in range(number)]
    batches = [as_batch(item) for item in items if item is not None]
    modules = [predictor.model, *predictor.guests]
    costs = dict(ms=math.nan, peak_mib=None, parameters=None)
    if batches:
        costs = measure_cost(predictor, modules, batches)
    return dict(costs, passes=method.passes)
