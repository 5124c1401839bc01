"""The curves of a comparison, as PNG and PDF."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

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
    'trio': 'void ignored',
    'trio_void_wrong': 'void counted as an error',
    'trio_pixels': 'single pixels, void ignored',
}
STYLES = ('-', '--', '-.', ':')
SUFFIXES = ('png', 'pdf')
COLUMNS = 3
LEGEND_WIDTH = 50
SMALLEST_SHARE = 5e-4


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
        for style, (row, entry) in _styled(curves):
            values = _floats(entry[name][key])
            axes.plot(range(1, len(values) + 1), values, label=row, **style)
        axes.set(xlabel='uncertainty percentile', ylabel=label, xlim=(1, 100))
        axes.grid(alpha=0.3)
    figure.suptitle(f'Patches: {title}' if name != 'trio_pixels' else title)
    _legend(figure, axes)
    return figure


def risk_coverage_figure(curves: dict[str, dict]) -> Figure:
    """Error among the pixels that are accepted."""
    figure = Figure(figsize=(7.5, 5), layout='constrained')
    axes = figure.subplots()
    for style, (row, entry) in _styled(curves):
        curve = entry['risk_coverage']
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
    distinct: dict[str, list[str]] = {}
    for row, entry in curves.items():
        distinct.setdefault(str(entry['reliability']), []).append(row)
    first = {rows[0]: curves[rows[0]] for rows in distinct.values()}
    for (style, (_, entry)), rows in zip(
        _styled(first, marker='.'), distinct.values()
    ):
        bins = entry['reliability']
        x = _floats(bins['confidence'])
        label = ', '.join(dict.fromkeys(curves[r]['method'] for r in rows))
        label = '\n'.join(wrap(label, LEGEND_WIDTH))
        upper.plot(x, _floats(bins['accuracy']), label=label, **style)
        lower.plot(x, _floats(bins['share']), **style)
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
        left=0.05,
        right=0.98,
        bottom=1.1 / height,
        top=1 - 0.35 / height,
        hspace=0.35,
        wspace=0.08,
    )
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    for axes, (row, entry) in zip(grid, curves.items()):
        data = dict(entry['histogram'])
        edges = data.pop('edges')
        for label, style in _groups(data):
            axes.stairs(
                data[label],
                edges,
                label=label.replace('_', ' '),
                baseline=SMALLEST_SHARE,
                **style,
            )
        axes.set_title(row, fontsize=10)
        axes.tick_params(labelsize=8)
    figure.supylabel('share of pixels', x=0.005)
    grid[0].set_yscale('log')
    grid[0].set_ylim(SMALLEST_SHARE, 1)
    _legend(figure, grid[0], 8, 'lower center')
    return figure


def _groups(labels: Iterable[str]) -> list[tuple[str, dict]]:
    """Right pixels filled, wrong ones thick, the rest thin."""
    fixed = {
        CORRECT: dict(fill=True, color='tab:green', alpha=0.35),
        WRONG: dict(color='tab:red', linewidth=1.8),
    }
    others = [label for label in labels if label not in fixed]
    colors = matplotlib.colormaps['tab20'].colors
    result = [(label, fixed[label]) for label in labels if label in fixed]
    for index, label in enumerate(others):
        style = dict(color=colors[index % len(colors)], linewidth=1.0)
        result.append((label, style))
    return result


def _styled(curves: dict[str, dict], **more: object):
    """Rows with a style each: a colour a method, dashes for a second row."""
    palette = matplotlib.colormaps['tab20'].colors
    colors = [*palette[::2], *palette[1::2]]
    seen: dict[str, int] = {}
    order: dict[str, int] = {}
    for row, entry in curves.items():
        method = entry['method']
        index = order.setdefault(method, len(order))
        stroke = STYLES[seen.get(method, 0) % len(STYLES)]
        seen[method] = seen.get(method, 0) + 1
        color = colors[index % len(colors)]
        yield dict(color=color, linestyle=stroke, **more), (row, entry)


def _legend(
    figure: Figure,
    axes: Axes,
    columns: int = 5,
    place: str = 'outside lower center',
) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc=place,
        ncols=min(columns, len(labels)),
        fontsize=8,
    )


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
