"""The meters of methods that share their forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.dist import all_gather_object

from mmseg_ddu.models.heads import last_decode_head

from .measure import PredictionMeter, ScoreMeter
from .methods import Prediction, Predictor
from .pixels import PLAIN, Truth, shifted_pixels


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


class Meters:
    """The meters of all predictions and scores of a group.

    Args:
        predictor (Predictor): Whose predictions are measured.
        setting (Setting): How.
        shifts (Sequence[str]): Names of the pools of shifted images.

    Attributes:
        unreadable (list[dict]): ``number`` among all images, ``pool``,
            ``image`` (number in the pool) and ``error``.
    """

    def __init__(
        self, predictor: Predictor, setting: Setting, shifts: Sequence[str]
    ) -> None:
        self.setting = setting
        self.shifts = list(shifts)
        self.parts = predictor.parts
        head = last_decode_head(predictor.model)
        self.num_classes = predictor.model.num_classes
        self.ignore_index = head.ignore_index
        self.threshold = getattr(head, 'threshold', None) or 0.5
        self._reset()

    def _reset(self) -> None:
        self.unreadable: list[dict] = []
        self.predictions = [
            PredictionMeter(self.num_classes, self.threshold)
            for _ in self.parts
        ]
        self.scores = {
            row: ScoreMeter(self.setting.patch, self.shifts)
            for rows in self.parts
            for row in rows
        }

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
        for meter, prediction in zip(self.predictions, predictions):
            classes = prediction.classes(self.threshold).cpu()
            meter.update(prediction.logits.cpu(), classes, truth.labels)
            for row, score in prediction.scores.items():
                self.scores[row].update(score.cpu(), classes, truth)

    def state_dict(self) -> dict:
        """All that was counted, in plain tensors and types."""
        return dict(
            predictions=[meter.state_dict() for meter in self.predictions],
            scores={row: m.state_dict() for row, m in self.scores.items()},
            unreadable=self.unreadable,
        )

    def merge_state(self, state: dict) -> None:
        """Add what other meters of the same methods have counted."""
        for meter, part in zip(self.predictions, state['predictions']):
            meter.merge_state(part)
        for row, part in state['scores'].items():
            self.scores[row].merge_state(part)
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
        result = {}
        for rows, meter in zip(self.parts, self.predictions):
            for row in rows:
                score = self.scores[row]
                result[row] = dict(
                    **meter.result(),
                    **score.result(),
                    pixels=score.pixels(),
                    curves=dict(
                        score.curves(), reliability=meter.reliability()
                    ),
                    unreadable=self.unreadable,
                )
        return result
