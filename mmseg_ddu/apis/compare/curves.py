"""The curves of a comparison, as PNG and PDF."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmseg_ddu.core.metrics.pixel_ranking import CORRECT, WRONG
from mmseg_ddu.fileio import atomic_write

TRIO = {
    'accurate_certain': 'p(accurate | certain)',
    'uncertain_inaccurate': 'p(uncertain | inaccurate)',
    'pavpu': 'PAvPU',
}
TRIOS = {
    'trio': 'Patches: void ignored',
    'trio_void_wrong': 'Patches: void counted as an error',
    'trio_pixels': 'single pixels, void ignored',
}
# Of histograms; those of other groups are thin lines.
GROUPS = {
    CORRECT: dict(fill=True, color='tab:green', alpha=0.35),
    WRONG: dict(color='tab:red', linewidth=1.8),
}
STYLES = ('-', '--', '-.', ':')
COLUMNS = 3
LOWEST = 5e-4
PALETTE = matplotlib.colormaps['tab20'].colors


def draw_curves(methods: dict[str, dict], out_dir: Path) -> None:
    """Draw every curve of the finished rows of a ``results.json``."""
    curves = {
        row: dict(entry['curves'], method=entry['method'])
        for row, entry in methods.items()
        if 'curves' in entry
    }
    if not curves:
        return
    figures = dict(
        risk_coverage=risk_coverage_figure(curves),
        reliability=reliability_figure(curves),
        histograms=histogram_figure(curves),
        **{name: trio_figure(curves, name) for name in TRIOS},
    )
    for name, figure in figures.items():
        for suffix in ('png', 'pdf'):
            with atomic_write(out_dir / f'{name}.{suffix}') as temporary:
                figure.savefig(temporary, dpi=120)


def trio_figure(curves: dict[str, dict], name: str) -> Figure:
    """The paper's three curves over uncertainty percentiles."""
    figure = Figure(figsize=(13, 4.6), layout='constrained')
    for axes, (key, label) in zip(figure.subplots(1, 3), TRIO.items()):
        _draw(axes, curves, name, 'percentile', key)
        axes.set(xlabel='uncertainty percentile', ylabel=label, xlim=(1, 100))
    figure.suptitle(TRIOS[name])
    _legend(figure, axes)
    return figure


def risk_coverage_figure(curves: dict[str, dict]) -> Figure:
    """Error among the pixels that are accepted."""
    figure = Figure(figsize=(7.5, 5), layout='constrained')
    axes = figure.subplots()
    _draw(axes, curves, 'risk_coverage', 'coverage', 'risk')
    axes.set(
        xlabel='coverage (share of pixels accepted, most certain first)',
        ylabel='risk (share of wrong pixels among them)',
        xlim=(0, 1),
    )
    axes.set_ylim(bottom=0)
    _legend(figure, axes)
    return figure


def reliability_figure(curves: dict[str, dict]) -> Figure:
    """Accuracy over confidence; one line for each prediction."""
    figure = Figure(figsize=(7.5, 6), layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    alike: dict[str, list[dict]] = {}
    for entry in curves.values():
        alike.setdefault(str(entry['reliability']), []).append(entry)
    named = {
        fill(', '.join(dict.fromkeys(e['method'] for e in same)), 50): same[0]
        for same in alike.values()
    }
    for axes, key in ((upper, 'accuracy'), (lower, 'share')):
        _draw(axes, named, 'reliability', 'confidence', key, marker='.')
    upper.plot([0, 1], [0, 1], color='grey', linewidth=0.8)
    upper.set(ylabel='accuracy', ylim=(0, 1), xlim=(0, 1))
    lower.set(xlabel='confidence', ylabel='share of pixels', yscale='log')
    _legend(figure, upper, 2)
    return figure


def histogram_figure(curves: dict[str, dict]) -> Figure:
    """Distribution of each score: right, wrong, and foreign pixels."""
    rows = math.ceil(len(curves) / COLUMNS)
    figure = Figure(figsize=(13, 3 * rows + 1.2), layout='constrained')
    grid = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    for axes, (row, entry) in zip(grid, curves.items()):
        axes.set_prop_cycle(color=PALETTE)
        data = dict(entry['histogram'])
        edges = data.pop('edges')
        for group, shares in data.items():
            style = dict(GROUPS.get(group, dict(linewidth=1.0)))
            style.update(label=group.replace('_', ' '), baseline=LOWEST)
            axes.stairs(shares, edges, **style)
        axes.set_title(row, fontsize=10)
        axes.tick_params(labelsize=8)
    figure.supylabel('share of pixels')
    grid[0].set(yscale='log', ylim=(LOWEST, 1))
    _legend(figure, grid[0], 8)
    return figure


def _draw(
    axes: Axes, curves: dict[str, dict], name: str, x: str, y: str, **style
) -> None:
    """A line for each row: a colour a method, dashes for its others."""
    colors = [*PALETTE[::2], *PALETTE[1::2]]
    seen: Counter[str] = Counter()
    for row, entry in curves.items():
        method, data = entry['method'], entry[name]
        seen[method] += 1
        style['color'] = colors[list(seen).index(method) % len(colors)]
        stroke = STYLES[(seen[method] - 1) % len(STYLES)]
        pair = data.get(x, range(1, 101)), data[y]  # None is NaN
        axes.plot(*np.array(pair, float), stroke, label=row, **style)
    axes.grid(alpha=0.3)


def _legend(figure: Figure, axes: Axes, columns: int = 5) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc='outside lower center',
        ncols=min(columns, len(labels)),
        fontsize=8,
    )
