"""How the cost of scoring grows with pixels, classes and feature width."""

from __future__ import annotations

import os

import torch

from benchmarks.measure import interleaved, summary
from mmseg_ddu.fileio import atomic_write

from .densities import PATHS, STRIDE, paths

BASE = dict(size=512, classes=21, width=512)
AXES = dict(
    size=(256, 512, 1024),
    classes=(5, 21, 150),
    width=(64, 128, 256, 512),
)
CEILING = 1e11  # multiply-adds of one measurement


def scaling_tables(device: torch.device, rounds: int = 2) -> dict:
    """Seconds per image of the ways to score, along three axes.

    Returns:
        dict: Axis to rows, each with the value on the axis, multiply-adds
        and seconds per path (None where it would take too long).
    """
    tables = {
        axis: [
            {axis: value, **_row({**BASE, axis: value}, device, rounds)}
            for value in values
        ]
        for axis, values in AXES.items()
    }
    return dict(base=BASE, stride=STRIDE, tables=tables)


def _row(setting: dict, device: torch.device, rounds: int) -> dict:
    pixels = (setting['size'] // STRIDE) ** 2
    work = {
        name: count(pixels, setting['classes'], setting['width'])
        for name, count in PATHS.items()
    }
    functions = {
        name: function
        for name, function in paths(**setting, device=device).items()
        if work[name] < CEILING
    }
    measured = interleaved(functions, rounds, device)
    seconds: dict[str, float | None] = dict.fromkeys(PATHS)
    for name, times in measured.items():
        seconds[name] = summary(times)['median_s']
    return dict(multiply_adds=work, seconds=seconds)


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
