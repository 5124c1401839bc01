"""Errors of plain images: found, calibrated, refused, corrected."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.core.metrics import selective_risk
from mmseg_ddu.core.metrics.calibration_error import CalibrationCounts
from mmseg_ddu.core.metrics.patches import trio_at_percentiles
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts

from .image_parts import ROWS
from .over_images import ImagePixels, draws, with_interval

CORRECTED = (0.005, 0.01, 0.02, 0.05, 0.10)
REFUSED = 0.10
POINTS = 40


def column(parts: Sequence[Part], name: str) -> Tensor:
    """Of all images, one after the other."""
    return torch.cat([torch.as_tensor(part[name]).view(-1) for part in parts])


def numbers(parts: Sequence[Part], name: str = 'known') -> Tensor:
    """The number of the image of each pixel of a column."""
    sizes = [len(part[name]) for part in parts]
    return torch.arange(len(parts)).repeat_interleave(torch.tensor(sizes))


def calibration_of(parts: Sequence[Part], times: Tensor) -> CalibrationCounts:
    """Of all pixels, each image taken so many times."""
    counts = CalibrationCounts()
    for part, number in zip(parts, times.tolist()):
        counts.bins += number * torch.as_tensor(part['bins'])
    return counts


def left_after_correction(counts: RankingCounts, share: float) -> float:
    """Error left once a person has corrected the most uncertain share.

    One minus the oracle-collaborative accuracy of Plex (Tran et al., 2022,
    arXiv 2207.07411).
    """
    return (1 - share) * selective_risk.risk_at(counts, 1 - share)


def error_figures(parts: Sequence[Part], seed: int) -> dict:
    """Row to figures, the reliability diagram, and what is left."""
    times = draws(len(parts), seed)
    known, images = column(parts, 'known'), numbers(parts)
    wrong = column(parts, 'wrong')[known]
    rows = {}
    for row in ROWS:
        scores = column(parts, row)[known]
        pixels = ImagePixels(scores, wrong, images[known])
        rows[row] = _row(pixels, times)
    ece = with_interval(lambda t: calibration_of(parts, t).ece(), times)
    calibration = calibration_of(parts, times[0])
    lines = calibration.reliability()._asdict()
    bins = calibration.bins.sum(0)
    return dict(
        images=len(parts),
        error=float(wrong.float().mean()),
        rows=rows,
        ece=ece,
        # Mean confidence above accuracy: too sure.
        overconfidence=float((bins[1] - bins[2]) / bins[0]),
        reliability={name: line.tolist() for name, line in lines.items()},
    )


def _row(pixels: ImagePixels, times: list[Tensor]) -> dict:
    counts = pixels.counts(times[0])
    coverage, risk = selective_risk.risk_coverage(counts, POINTS)
    trio = trio_at_percentiles(counts, 80)

    def refused(drawn: Tensor) -> float:
        return selective_risk.risk_at(pixels.counts(drawn), 1 - REFUSED)

    return dict(
        auroc=with_interval(lambda t: pixels.counts(t).auroc(), times),
        pui80=float(trio.uncertain_inaccurate),
        refused=with_interval(refused, times),
        corrected={
            str(share): left_after_correction(counts, share)
            for share in CORRECTED
        },
        coverage=coverage.tolist(),
        risk=risk.tolist(),
    )
