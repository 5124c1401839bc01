"""The picture of the location study."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .pairs import KINDS, OTHER_CLASS, OTHER_IMAGE, SAME_IMAGE

STYLES = {SAME_IMAGE: ':', OTHER_IMAGE: '-', OTHER_CLASS: '--'}


def save_picture(report: dict, path: str | os.PathLike) -> None:
    """Draw the report of ``location_study``.

    Left: similarity against distance, mean over the classes. Middle: the
    same for each class. Right: quality of Gaussians per cell of a grid.

    Args:
        report (dict): With ``classes``, ``similarity`` and ``grids``.
        path (str): PNG or PDF file.
    """
    figure = Figure(figsize=(13, 4.2), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.25, 1])
    similarity = report['similarity']['centred']
    means = np.array(similarity['means'], float)  # (C, 3, B), NaN for None
    stds = np.array(similarity['stds'], float)
    distances = _centers(similarity['edges'])
    _draw_kinds(left, distances, means, stds)
    _draw_classes(middle, distances, means, report['classes'])
    _draw_grids(right, report['grids'])
    figure.savefig(path)


def _centers(edges: list[float]) -> list[float]:
    """Middles of the bins; the last one is open towards the corner."""
    middles = [(a + b) / 2 for a, b in zip(edges, edges[1:])]
    middles[-1] = edges[-2] + (edges[-2] - edges[-3]) / 2
    return middles


def _draw_kinds(
    axes: Axes, distances: list[float], means: np.ndarray, stds: np.ndarray
) -> None:
    for kind, name in enumerate(KINDS):
        mean, std = (
            np.ma.masked_invalid(values[:, kind]).mean(0).filled(np.nan)
            for values in (means, stds)
        )
        (line,) = axes.plot(
            distances, mean, STYLES[kind], marker='o', label=name
        )
        axes.fill_between(
            distances,
            mean - std,
            mean + std,
            color=line.get_color(),
            alpha=0.13,
            linewidth=0,
        )
    axes.set_title('Mean over classes (band: spread of pairs)', fontsize=10)
    axes.legend(fontsize=8)
    _label(axes)


def _draw_classes(
    axes: Axes, distances: list[float], means: np.ndarray, classes: list[str]
) -> None:
    for number, name in enumerate(classes):
        for kind in (OTHER_IMAGE, OTHER_CLASS):
            axes.plot(
                distances,
                means[number, kind],
                STYLES[kind],
                color=f'C{number % 10}',
                marker='.',
                label=name if kind == OTHER_IMAGE else None,
            )
    title = 'Each class (line: itself in other images, dashed: others)'
    axes.set_title(title, fontsize=10)
    if len(classes) <= 12:
        axes.margins(y=0.22)  # room for the legend
        axes.legend(fontsize=8, ncols=3, loc='upper center')
    _label(axes)


def _label(axes: Axes) -> None:
    axes.set_xlabel('distance in the image, shares of its sides')
    axes.set_ylabel('cosine of centred features')
    axes.grid(alpha=0.3)


def _draw_grids(axes: Axes, rows: list[dict]) -> None:
    for key, name in (
        ('mis_AUROC', 'misclassified'),
        ('ood_AUROC', 'out of distribution'),
    ):
        values = [row[key] for row in rows]
        if None in values:
            continue
        (line,) = axes.plot(range(len(rows)), values, 'o-', label=name)
        axes.plot(
            range(len(rows)),
            [row['control'][key] for row in rows],
            'o:',
            color=line.get_color(),
            alpha=0.6,
            label='same, grid moved at random',
        )
    ticks = [
        f'{row["grid"]}×{row["grid"]}\n{row["megabytes"]:,.0f} MB'
        for row in rows
    ]
    axes.set_xticks(range(len(rows)), ticks, fontsize=8)
    axes.axhline(50, color='0.6', linewidth=0.8)
    axes.set_title('Gaussians for each cell of a grid', fontsize=10)
    axes.set_xlabel('grid, memory in float32')
    axes.set_ylabel('AUROC, %')
    axes.grid(alpha=0.3)
    axes.margins(y=0.32)
    axes.legend(fontsize=8, loc='upper left')
