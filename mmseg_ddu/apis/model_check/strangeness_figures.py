"""Shifted images and pasted patches: does a map see them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mmseg_ddu.apis.kept_parts import Part

from .error_figures import calibration_of, column, error_rate, numbers
from .image_parts import CONSTANT, ROWS
from .over_images import (
    ImagePixels,
    Value,
    draws,
    interval_of,
    with_interval,
)

LEFT_OUT = 'upside_down'  # of the means: every texture is as it was
PREFIX_OF_FAINT = 'faint_'


def shift_figures(
    plain: Sequence[Part], moved: Mapping[str, Sequence[Part]], seed: int
) -> dict:
    """Of each kind, and their means, against the same images unshifted.

    One mean is of all kinds, the other of the faint ones.

    Args:
        plain (Sequence[Part]): The images, unshifted.
        moved (Mapping): Kind to the same images, shifted.
        seed (int): Of the resamples of images.
    """
    times = draws(len(plain), seed)
    kinds = {}
    found: dict[str, list[list[float]]] = {row: [] for row in _rows()}
    faint: list[list[float]] = []
    novelties: list[list[float]] = []
    for kind, parts in moved.items():
        is_faint = kind.startswith(PREFIX_OF_FAINT)
        entry: dict = dict(auroc={}, accuracy=None, ece=None)
        for row in _rows():
            pixels = _against(plain, parts, row)
            values = [pixels.counts(drawn).auroc() for drawn in times]
            entry['auroc'][row] = interval_of(values)
            if is_faint and row == 'epistemic':
                faint.append(values)
            elif kind != LEFT_OUT and not is_faint:
                found[row].append(values)
        values = [_by_novelty(plain, parts, drawn) for drawn in times]
        entry['by_novelty'] = values[0]
        if kind != LEFT_OUT and not is_faint:
            novelties.append(values)
        if any(int(part['labelled']) for part in parts):
            entry['accuracy'] = 1 - error_rate(parts, times[0])
            entry['ece'] = calibration_of(parts, times[0]).ece()
        kinds[kind] = entry
    return dict(
        images=len(plain),
        accuracy=1 - error_rate(plain, times[0]),
        ece=calibration_of(plain, times[0]).ece(),
        kinds=kinds,
        mean={row: _mean(values) for row, values in found.items()},
        mean_of_faint=_mean(faint),
        mean_by_novelty=_mean(novelties),
    )


def _mean(values: list[list[float]]) -> Value:
    """Over kinds, of each resample."""
    return interval_of(torch.tensor(values).mean(0).tolist())


def _rows() -> tuple[str, ...]:
    return (*ROWS, CONSTANT)


def _scores(parts: Sequence[Part], row: str) -> torch.Tensor:
    if row != CONSTANT:
        return column(parts, row)
    novelty = torch.tensor([float(part['novelty']) for part in parts])
    return novelty[numbers(parts)]


def _against(
    plain: Sequence[Part], moved: Sequence[Part], row: str
) -> ImagePixels:
    """Labelled pixels; all of the shifted ones if none has a label."""
    low, high = column(plain, 'known'), column(moved, 'known')
    if not high.any():
        high = torch.ones_like(high)
    images = torch.cat([numbers(plain)[low], numbers(moved)[high]])
    low, high = _scores(plain, row)[low], _scores(moved, row)[high]
    positives = torch.arange(len(low) + len(high)) >= len(low)
    return ImagePixels(torch.cat([low, high]), positives, images)


def _by_novelty(
    plain: Sequence[Part], moved: Sequence[Part], times: torch.Tensor
) -> float:
    """AUROC of whole images by their novelty."""
    values = [float(part['novelty']) for part in (*plain, *moved)]
    positives = torch.arange(len(values)) >= len(plain)
    images = torch.arange(len(values)) % len(plain)
    pixels = ImagePixels(torch.tensor(values), positives, images)
    return pixels.counts(times).auroc()


def pasted_figures(parts: Sequence[Part], seed: int) -> dict:
    """Pasted pixels above the labelled ones around them, by row."""
    times = draws(len(parts), seed)
    pasted = column(parts, 'pasted')
    chosen = pasted | column(parts, 'known')
    images = numbers(parts)[chosen]
    rows = {}
    for row in ROWS:
        scores = column(parts, row)[chosen]
        pixels = ImagePixels(scores, pasted[chosen], images)
        rows[row] = with_interval(lambda t: pixels.counts(t).auroc(), times)  # noqa: B023
    return dict(images=len(parts), auroc=rows)
