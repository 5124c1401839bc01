"""Figures of one fit: a score's answers to each question."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.proof.pixel_scores import PixelScores
from mmseg_ddu.apis.model_check.strangeness_figures import LEFT_OUT
from mmseg_ddu.core.metrics import selective_risk
from mmseg_ddu.core.metrics.patches import trio_at_percentiles
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts

PERCENTILES = (40, 60, 80, 90)


def counts_of(low: Tensor, high: Tensor) -> RankingCounts:
    """Exact counts in which ``high`` are the positives."""
    counts = RankingCounts(bits=32)
    for values, positive in ((low, False), (high, True)):
        counts.update(values, torch.full(values.shape, positive))
    return counts


def error_figures(plain: PixelScores, row: str) -> dict[str, float]:
    """Wrong pixels against right ones."""
    scores = plain.scores[row][plain.known]
    wrong = plain.wrong(row)[plain.known]
    counts = counts_of(scores[~wrong], scores[wrong])
    trio = trio_at_percentiles(counts, torch.tensor(PERCENTILES))
    figures = dict(
        errors=counts.auroc(),
        errors_ap=counts.aupr(),
        aurc=selective_risk.aurc(counts),
        e_aurc=selective_risk.e_aurc(counts),
        augrc=selective_risk.augrc(counts),
    )
    for name, values in zip(('pac', 'pui', 'pavpu'), trio):
        for percentile, value in zip(PERCENTILES, values.tolist()):
            figures[f'{name}{percentile}'] = value
    return figures


def unknown_figures(
    plain: PixelScores, row: str, values: tuple[int, ...]
) -> dict[str, float]:
    """Pixels of unknown objects against those of trained classes."""
    unknown = torch.isin(plain.values, torch.tensor(values))
    scores = plain.scores[row]
    counts = counts_of(scores[plain.known & ~unknown], scores[unknown])
    return dict(
        auroc=counts.auroc(),
        ap=counts.aupr(),
        fpr95=counts.fpr_at_tpr(0.95),
    )


def unknown_by_set(
    sets: Mapping[str, tuple[PixelScores, tuple[int, ...]]], row: str
) -> dict[str, dict[str, float]]:
    """Figure to set of unknown objects to its value; the AUROC is first."""
    found = {
        name: unknown_figures(pixels, row, values)
        for name, (pixels, values) in sets.items()
    }
    return {
        key: {name: figures[figure] for name, figures in found.items()}
        for key, figure in (
            ('unknown', 'auroc'),
            ('unknown_ap', 'ap'),
            ('unknown_fpr95', 'fpr95'),
        )
    }


def shift_figures(
    plain: PixelScores, moved: Mapping[str, PixelScores], row: str
) -> dict:
    """Pixels, and images, of each shift against the plain ones.

    Against those of the same images, so that what they show tells nothing,
    and void counts on neither side, unless a shift leaves no label at all.
    The means leave out images upside down: every texture is as it was.
    """
    pixels, whole = {}, {}
    for kind, shifted in moved.items():
        same = torch.isin(plain.images, shifted.images)
        ordinary = plain.scores[row][plain.known & same]
        strange = shifted.scores[row]
        if shifted.known.any():
            strange = strange[shifted.known]
        pixels[kind] = counts_of(ordinary, strange).auroc()
        means = image_means(plain, row, same)
        whole[kind] = counts_of(means, image_means(shifted, row)).auroc()
    counted = [kind for kind in moved if kind != LEFT_OUT]
    return dict(
        shifts=pixels,
        shifts_mean=sum(pixels[kind] for kind in counted) / len(counted),
        images_mean=sum(whole[kind] for kind in counted) / len(counted),
    )


def other_figures(
    plain: PixelScores, other: PixelScores, row: str
) -> dict[str, float]:
    """Pixels, and images, of another data set against the plain ones."""
    ordinary = plain.scores[row][plain.known]
    means = image_means(plain, row), image_means(other, row)
    return dict(
        other_data=counts_of(ordinary, other.scores[row]).auroc(),
        other_images=counts_of(*means).auroc(),
    )


def image_means(
    pixels: PixelScores, row: str, chosen: Tensor | None = None
) -> Tensor:
    """Mean score of each image over its sampled pixels, (images,)."""
    images, scores = pixels.images, pixels.scores[row].double()
    if chosen is not None:
        images, scores = images[chosen], scores[chosen]
    return torch.stack(
        [scores[images == image].mean() for image in images.unique()]
    ).float()


def mean_and_std(runs: list) -> dict:
    """Figures of several seeds: the mean, and ``NAME_std`` beside it."""
    found: dict = {}
    for key, first in runs[0].items():
        values = [run[key] for run in runs]
        if isinstance(first, dict):
            found[key] = mean_and_std(values)
            continue
        tensor = torch.tensor(values, dtype=torch.float64)
        found[key] = float(tensor.mean())
        found[f'{key}_std'] = float(tensor.std(correction=0))
    return found
