"""How the cost of scoring grows with pixels, classes and feature width."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from mmseg_ddu.core import ClassGroups, GaussianDiscriminant
from mmseg_ddu.fileio import atomic_write

from .measure import interleaved, summary

BASE = dict(size=512, classes=21, width=512)
AXES = dict(
    size=(256, 512, 1024),
    classes=(5, 21, 150),
    width=(64, 128, 256, 512),
)
STRIDE = 4
PATHS = ('predicted class', 'predicted class, rank 64', 'all classes, full')
CEILING = 1e11  # multiply-adds of one measurement


def scaling_tables(device: torch.device, rounds: int = 2) -> dict:
    """Seconds per image of three ways to score, along three axes.

    Returns:
        dict: Axis to rows, each with the value on the axis, multiply-adds
        and seconds per path (None where it would take too long).
    """
    tables: dict[str, list[dict]] = {}
    for axis, values in AXES.items():
        tables[axis] = [
            _row(axis, {**BASE, axis: value}, device, rounds)
            for value in values
        ]
    return dict(base=BASE, stride=STRIDE, tables=tables)


def _row(axis: str, setting: dict, device: torch.device, rounds: int) -> dict:
    pixels = (setting['size'] // STRIDE) ** 2
    classes, width = setting['classes'], setting['width']
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(width, pixels, generator=rng).to(device).T
    regions = torch.arange(pixels, device=device) * 6 // pixels % classes
    groups = ClassGroups(regions, classes)
    exact = _density(classes, width, None, device)
    functions = {
        PATHS[0]: lambda: exact.log_prob_of(features, groups),
    }
    if width > 64:
        low = _density(classes, width, 64, device)
        functions[PATHS[1]] = lambda: low.log_prob_of(features, groups)
    cost = pixels * classes * width * (width + 128) // 2
    if cost < CEILING:
        functions[PATHS[2]] = lambda: exact.score_samples(features)
    seconds = interleaved(functions, rounds, device)
    return {
        axis: setting[axis],
        'multiply_adds': {
            PATHS[0]: cost // classes,
            PATHS[1]: pixels * 64 * (width + 64),
            PATHS[2]: cost,
        },
        'seconds': {
            name: summary(seconds[name])['median_s']
            if name in seconds
            else None
            for name in PATHS
        },
    }


def _density(
    classes: int, width: int, rank: int | None, device: torch.device
) -> GaussianDiscriminant:
    """Equal classes, so that early stopping finds nothing to stop."""
    density = GaussianDiscriminant(classes, width, rank=rank)
    dim = rank or width
    eye: Tensor = torch.eye(dim)
    density.precisions_cholesky.copy_(
        eye + 0.01 * torch.ones(dim, dim).triu(1)
    )
    if rank:
        density.basis.copy_(torch.eye(width)[:, :rank])
    density.residual_variance.fill_(1)
    density.fitted.fill_(True)
    return density.to(device)


def plot(scaling: dict, path: str | os.PathLike) -> None:
    """The tables as curves, seconds over each axis, both logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tables = scaling['tables']
    figure = Figure(figsize=(10, 3.2), layout='constrained')
    FigureCanvasAgg(figure)
    for index, (axis, rows) in enumerate(tables.items()):
        panel = figure.add_subplot(1, len(tables), index + 1)
        for name in PATHS:
            points = [
                (row[axis], row['seconds'][name])
                for row in rows
                if row['seconds'][name]
            ]
            if points:
                panel.loglog(*zip(*points), marker='o', label=name)
        values = [row[axis] for row in rows]
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
        panel.set_xlabel({'size': 'image size'}.get(axis, axis))
    figure.axes[0].set_ylabel('seconds an image')
    figure.axes[0].legend(fontsize=7)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
