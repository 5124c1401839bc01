"""Shifted images and pasted patches: does a map see them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.models.map_names import NOVELTY

from .error_figures import calibration_of, column, numbers
from .image_parts import CONSTANT, EVERY_ROW, ROWS
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

    One mean is of all kinds, the other of the faint ones. ``moved`` are
    kinds to the same images, shifted.
    """
    times = draws(len(plain), seed)
    kinds, curves = {}, {}
    for kind, parts in moved.items():
        pixels = {row: _against(plain, parts, row) for row in EVERY_ROW}
        pixels[NOVELTY] = _by_novelty(plain, parts)
        curves[kind] = {
            row: [counted.counts(drawn).auroc() for drawn in times]
            for row, counted in pixels.items()
        }
        kinds[kind] = dict(
            auroc={row: interval_of(curves[kind][row]) for row in EVERY_ROW},
            by_novelty=curves[kind][NOVELTY][0],
            **_of_classes(parts),
        )
    faint = [kind for kind in moved if kind.startswith(PREFIX_OF_FAINT)]
    strong = [kind for kind in moved if kind not in (*faint, LEFT_OUT)]

    def mean(some: Sequence[str], row: str) -> Value:
        every = torch.tensor([curves[kind][row] for kind in some])
        return interval_of(every.mean(0).tolist())

    return dict(
        images=len(plain),
        kinds=kinds,
        mean={row: mean(strong, row) for row in EVERY_ROW},
        mean_of_faint=mean(faint, 'epistemic'),
        mean_by_novelty=mean(strong, NOVELTY),
        **_of_classes(plain),
    )


def _of_classes(parts: Sequence[Part]) -> dict[str, float | None]:
    """Of all labelled pixels, None without any."""
    right, labelled = (
        sum(int(part[name]) for part in parts)
        for name in ('right', 'labelled')
    )
    if not labelled:
        return dict(accuracy=None, ece=None)
    ece = calibration_of(parts, torch.ones(len(parts))).ece()
    return dict(accuracy=right / labelled, ece=ece)


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
