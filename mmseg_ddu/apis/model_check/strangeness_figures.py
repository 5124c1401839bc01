"""Shifted images and pasted patches: does a map see them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.models.map_names import NOVELTY

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
    kinds, curves = {}, {}
    for kind, parts in moved.items():
        pixels = {row: _against(plain, parts, row) for row in _rows()}
        pixels[NOVELTY] = _by_novelty(plain, parts)
        curves[kind] = {
            row: [counted.counts(drawn).auroc() for drawn in times]
            for row, counted in pixels.items()
        }
        labelled = any(int(part['labelled']) for part in parts)
        kinds[kind] = dict(
            auroc={row: interval_of(curves[kind][row]) for row in _rows()},
            accuracy=1 - error_rate(parts, times[0]) if labelled else None,
            ece=calibration_of(parts, times[0]).ece() if labelled else None,
            by_novelty=curves[kind][NOVELTY][0],
        )
    faint = [kind for kind in moved if kind.startswith(PREFIX_OF_FAINT)]
    strong = [kind for kind in moved if kind not in (*faint, LEFT_OUT)]

    def mean(some: Sequence[str], row: str) -> Value:
        every = torch.tensor([curves[kind][row] for kind in some])
        return interval_of(every.mean(0).tolist())

    return dict(
        images=len(plain),
        accuracy=1 - error_rate(plain, times[0]),
        ece=calibration_of(plain, times[0]).ece(),
        kinds=kinds,
        mean={row: mean(strong, row) for row in _rows()},
        mean_of_faint=mean(faint, 'epistemic'),
        mean_by_novelty=mean(strong, NOVELTY),
    )


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


def _by_novelty(plain: Sequence[Part], moved: Sequence[Part]) -> ImagePixels:
    """Whole images by their novelty."""
    values = [float(part['novelty']) for part in (*plain, *moved)]
    positives = torch.arange(len(values)) >= len(plain)
    images = torch.arange(len(values)) % len(plain)
    return ImagePixels(torch.tensor(values), positives, images)


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
