"""The curves of a comparison, as PNG and PDF."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import fill

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
STYLES = ('-', '--', '-.', ':')
SUFFIXES = ('png', 'pdf')
COLUMNS = 3
SMALLEST_SHARE = 5e-4
PALETTE = matplotlib.colormaps['tab20'].colors


def draw_curves(methods: dict[str, dict], out_dir: Path) -> list[Path]:
    """Draw every curve of the finished rows.

    Args:
        methods (dict[str, dict]): Row to entry, as in ``results.json``.
        out_dir (Path): Where the pictures go.

    Returns:
        list[Path]: The files.
    """
    curves = {
        row: dict(entry['curves'], method=entry['method'])
        for row, entry in methods.items()
        if 'curves' in entry
    }
    if not curves:
        return []
    figures = {
        'risk_coverage': risk_coverage_figure(curves),
        'reliability': reliability_figure(curves),
        'histograms': histogram_figure(curves),
    }
    for name, title in TRIOS.items():
        figures[name] = trio_figure(curves, name, title)
    return [
        path
        for name, figure in figures.items()
        for path in _save(figure, out_dir, name)
    ]


def trio_figure(curves: dict[str, dict], name: str, title: str) -> Figure:
    """The paper's three curves over uncertainty percentiles."""
    figure = Figure(figsize=(13, 4.6), layout='constrained')
    for axes, (key, label) in zip(figure.subplots(1, 3), TRIO.items()):
        for style, row in _styled(curves):
            values = _floats(curves[row][name][key])
            axes.plot(range(1, len(values) + 1), values, label=row, **style)
        axes.set(xlabel='uncertainty percentile', ylabel=label, xlim=(1, 100))
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    _legend(figure, axes)
    return figure


def risk_coverage_figure(curves: dict[str, dict]) -> Figure:
    """Error among the pixels that are accepted."""
    figure = Figure(figsize=(7.5, 5), layout='constrained')
    axes = figure.subplots()
    for style, row in _styled(curves):
        curve = curves[row]['risk_coverage']
        axes.plot(curve['coverage'], curve['risk'], label=row, **style)
    axes.set(
        xlabel='coverage (share of pixels accepted, most certain first)',
        ylabel='risk (share of wrong pixels among them)',
        xlim=(0, 1),
    )
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    _legend(figure, axes)
    return figure


def reliability_figure(curves: dict[str, dict]) -> Figure:
    """Accuracy over confidence; one line for each prediction."""
    figure = Figure(figsize=(7.5, 6), layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    alike: dict[str, list[str]] = {}
    for row, entry in curves.items():
        alike.setdefault(str(entry['reliability']), []).append(row)
    first = {rows[0]: curves[rows[0]] for rows in alike.values()}
    for (style, row), rows in zip(_styled(first), alike.values()):
        bins = {k: _floats(v) for k, v in curves[row]['reliability'].items()}
        names = dict.fromkeys(curves[r]['method'] for r in rows)
        style.update(marker='.', label=fill(', '.join(names), 50))
        upper.plot(bins['confidence'], bins['accuracy'], **style)
        lower.plot(bins['confidence'], bins['share'], **style)
    upper.plot([0, 1], [0, 1], color='grey', linewidth=0.8)
    upper.set(ylabel='accuracy', ylim=(0, 1), xlim=(0, 1))
    lower.set(xlabel='confidence', ylabel='share of pixels', yscale='log')
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    _legend(figure, upper, 2)
    return figure


def histogram_figure(curves: dict[str, dict]) -> Figure:
    """Distribution of each score: right, wrong, and foreign pixels."""
    rows = math.ceil(len(curves) / COLUMNS)
    height = 3 * rows + 1.2
    # Placed by hand: constrained layout takes seconds for this many axes.
    figure = Figure(figsize=(13, height))
    grid = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    figure.subplots_adjust(
        0.05, 1.1 / height, 0.98, 1 - 0.35 / height, wspace=0.08, hspace=0.35
    )
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    for axes, (row, entry) in zip(grid, curves.items()):
        data = dict(entry['histogram'])
        edges = data.pop('edges')
        for label, style in _groups(data):
            style.update(label=label.replace('_', ' '))
            axes.stairs(data[label], edges, baseline=SMALLEST_SHARE, **style)
        axes.set_title(row, fontsize=10)
        axes.tick_params(labelsize=8)
    figure.supylabel('share of pixels', x=0.005)
    grid[0].set(yscale='log', ylim=(SMALLEST_SHARE, 1))
    _legend(figure, grid[0], 8, 'lower center')
    return figure


def _groups(labels: Iterable[str]) -> Iterator[tuple[str, dict]]:
    """Right pixels filled, wrong ones thick, the rest thin."""
    index = 0
    for label in labels:
        if label == CORRECT:
            yield label, dict(fill=True, color='tab:green', alpha=0.35)
        elif label == WRONG:
            yield label, dict(color='tab:red', linewidth=1.8)
        else:
            color = PALETTE[index % len(PALETTE)]
            yield label, dict(color=color, linewidth=1.0)
            index += 1


def _styled(curves: dict[str, dict]) -> Iterator[tuple[dict, str]]:
    """Rows with a style each: a colour a method, dashes for its others."""
    colors = [*PALETTE[::2], *PALETTE[1::2]]
    seen: dict[str, int] = {}
    for row, entry in curves.items():
        number = seen[entry['method']] = seen.get(entry['method'], -1) + 1
        color = colors[list(seen).index(entry['method']) % len(colors)]
        stroke = STYLES[number % len(STYLES)]
        yield dict(color=color, linestyle=stroke), row


def _legend(
    figure: Figure,
    axes: Axes,
    columns: int = 5,
    place: str = 'outside lower center',
) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = min(columns, len(labels))
    figure.legend(handles, labels, loc=place, ncols=columns, fontsize=8)


def _floats(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _save(figure: Figure, out_dir: Path, name: str) -> list[Path]:
    FigureCanvasAgg(figure)
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine('none')  # once is enough
    paths = [out_dir / f'{name}.{suffix}' for suffix in SUFFIXES]
    for path in paths:
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=120)
    return paths
