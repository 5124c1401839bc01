"""What is counted for each prediction and each score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_ddu.core.calibration import CalibrationCounts
from mmseg_ddu.core.grouped import GroupedCounts
from mmseg_ddu.core.patches import PatchCounts, trio_at_percentiles
from mmseg_ddu.core.ranking import RankingCounts
from mmseg_ddu.core.selective import aurc, e_aurc, risk_coverage

from .pixels import (
    CORRECT,
    HELD_OUT,
    IN_DISTRIBUTION,
    OUT_OF_DISTRIBUTION,
    VOID,
    WRONG,
    Truth,
)

CURVE_POINTS = 100
TRIO = ('accurate_certain', 'uncertain_inaccurate', 'pavpu')


class PredictionMeter:
    """mIoU and calibration of one prediction.

    Args:
        num_classes (int): C.
        threshold (float): Of a binary head.
    """

    def __init__(self, num_classes: int, threshold: float = 0.5) -> None:
        self.num_classes = num_classes
        self.threshold = threshold
        size = num_classes, num_classes
        self.confusion = torch.zeros(size, dtype=torch.int64)
        self.calibration = CalibrationCounts(ignore_index=VOID)

    def update(self, logits: Tensor, classes: Tensor, labels: Tensor) -> None:
        """Add an image: (C, h, w), (h, w) and (h, w)."""
        known = labels != VOID
        pairs = self.num_classes * labels[known] + classes[known]
        self.confusion += torch.bincount(
            pairs, minlength=self.num_classes**2
        ).view_as(self.confusion)
        self.calibration.update(logits, labels)

    def state_dict(self) -> dict:
        """All that was counted, as plain tensors."""
        return dict(
            confusion=self.confusion, calibration=self.calibration.state_dict()
        )

    def merge_state(self, state: dict) -> None:
        """Add what another meter has counted."""
        self.confusion += state['confusion']
        self.calibration.merge_state(state['calibration'])

    def result(self) -> dict:
        """mIoU over the classes that occur, and calibration."""
        right = self.confusion.diag().double()
        union = self.confusion.sum(0) + self.confusion.sum(1) - right
        counts = self.calibration
        return dict(
            miou=float((right / union)[union > 0].mean()),
            accuracy=counts.accuracy(),
            ece=counts.ece(),
            adaptive_ece=counts.adaptive_ece(),
            nll=counts.nll(),
            brier=counts.brier(),
        )

    def reliability(self) -> dict:
        """Data of the reliability diagram."""
        bins = self.calibration.reliability()
        share = bins.number / bins.number.sum()
        return dict(
            share=share.tolist(),
            confidence=_plain(bins.confidence),
            accuracy=_plain(bins.accuracy),
        )


class ScoreMeter:
    """Everything that is asked of one score.

    Args:
        patch (int): Side of the windows of the trio, in pixels of the grid.
        shifts (Sequence[str]): Names of the shifts, in order.
    """

    def __init__(self, patch: int, shifts: Sequence[str] = ()) -> None:
        self.counts = GroupedCounts()
        self.shifts = list(shifts)
        self.patches = {
            'trio': PatchCounts(patch),
            'trio_void_wrong': PatchCounts(patch, void_inaccurate=True),
        }

    def update(self, scores: Tensor, classes: Tensor, truth: Truth) -> None:
        """Add a plain test image: (h, w) scores and predicted classes."""
        known = truth.labels != VOID
        right = known & (classes == truth.labels)
        self.counts.update(CORRECT, scores[right])
        self.counts.update(WRONG, scores[known & ~right])
        for kind, mask in truth.ood.items():
            self.counts.update(kind, scores[mask])
        for counts in self.patches.values():
            counts.update(scores, right, known)

    def update_shift(self, shift: str, scores: Tensor) -> None:
        """Add the pixels of a shifted image that count, (N,)."""
        self.counts.update(shift, scores)

    def state_dict(self) -> dict:
        """All that was counted, as plain tensors."""
        patches = {n: c.windows.state_dict() for n, c in self.patches.items()}
        return dict(counts=self.counts.state_dict(), patches=patches)

    def merge_state(self, state: dict) -> None:
        """Add what another meter has counted."""
        self.counts.merge_state(state['counts'])
        for name, counts in self.patches.items():
            counts.windows.merge_state(state['patches'][name])

    @property
    def kinds(self) -> list[str]:
        """Kinds of out-of-distribution pixels that there were."""
        return [k for k in OUT_OF_DISTRIBUTION if self.counts.number(k)]

    def result(self) -> dict:
        """All figures of the score; NaN where there were no pixels."""
        wrong = self._wrong()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # NaN says it
            result = dict(
                mis_auroc=wrong.auroc(), aurc=aurc(wrong), e_aurc=e_aurc(wrong)
            )
            ood = self._against(*self.kinds)
            kinds = {HELD_OUT: ood} if self.kinds else {}
            kinds.update({kind: self._against(kind) for kind in self.kinds})
            for kind, counts in kinds.items():
                result[f'{kind}_auroc'] = counts.auroc()
                result[f'{kind}_aupr'] = counts.aupr()
                result[f'{kind}_fpr95'] = counts.fpr_at_tpr(0.95)
            suite = {kind: kinds[kind].auroc() for kind in self.kinds}
            for shift in self.shifts:
                suite[shift] = self._against(shift).auroc()
        return dict(result, shifts=suite, **summary(suite))

    def _wrong(self) -> RankingCounts:
        return self.counts.versus([WRONG], [CORRECT])

    def _against(self, *groups: str) -> RankingCounts:
        return self.counts.versus(groups, IN_DISTRIBUTION)

    def curves(self) -> dict:
        """The trio over percentiles, risk-coverage, and histograms."""
        wrong = self._wrong()
        coverage, risk = risk_coverage(wrong, CURVE_POINTS)
        groups = {name: [name] for name in (CORRECT, WRONG)}
        groups.update({kind: [kind] for kind in self.kinds})
        groups.update({shift: [shift] for shift in self.shifts})
        trios = {
            name: counts.at_percentiles()
            for name, counts in self.patches.items()
        }
        trios['trio_pixels'] = trio_at_percentiles(wrong)
        return dict(
            risk_coverage=dict(coverage=coverage.tolist(), risk=risk.tolist()),
            histogram=self.counts.histogram(groups),
            **{
                name: {key: _plain(getattr(trio, key)) for key in TRIO}
                for name, trio in trios.items()
            },
        )

    def pixels(self) -> dict[str, int]:
        """Pixels per group: the same for every method."""
        numbers = {name: self.counts.number(name) for name in self.kinds}
        for shift in self.shifts:
            numbers[shift] = self.counts.number(shift)
        plain = self.counts.number(*IN_DISTRIBUTION)
        return dict(in_distribution=plain, **numbers)


def summary(shifts: dict[str, float]) -> dict[str, float]:
    """Mean and worst over a suite of shifts."""
    values = [value for value in shifts.values() if not math.isnan(value)]
    if not values:
        return dict(mean=math.nan, worst=math.nan)
    return dict(mean=sum(values) / len(values), worst=min(values))


def _plain(values: Tensor) -> list[float | None]:
    """A list for JSON, which has no NaN."""
    return [None if math.isnan(v) else v for v in values.tolist()]
