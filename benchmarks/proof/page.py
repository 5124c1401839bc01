"""The tables of the docs that stand in results/proof.json.

Each is in one of ``PAGES``, behind a comment with its name:

  python -m benchmarks.proof.page
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.proof.bars import TOTAL, bar_table, unknown_of
from benchmarks.proof.judge_seeds import SPREAD
from benchmarks.proof.pixel_scores import CONSTANT, ROWS
from benchmarks.proof.titles import NETWORKS, SCORES, SETS, short
from benchmarks.tables import markdown_table, with_tables
from mmseg_ddu.apis import cli
from mmseg_ddu.models.map_names import MAPS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / f'docs/{x}.md' for x in ('results', 'all_results', 'cost')]
FIGURES = ROOT / 'results/proof.json'
SEEDS = 'largest spread over seeds'
MOST_SPREAD = 0.01  # the bar of fits that differ in their seed alone


def networks_of(answers: Mapping) -> dict[str, Mapping]:
    """Title to what there is of a network, in the order of the page."""
    return {NETWORKS[n]: answers[n] for n in NETWORKS if n in answers}


def score_table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Column to row to cell; the same rows for all."""
    found = dict.fromkeys(row for cells in columns.values() for row in cells)
    others = [row for row in found if row not in (*ROWS, SEEDS)]
    lines = [
        [SCORES.get(row, row), *(cells.get(row) for cells in columns.values())]
        for row in (*ROWS, *others, SEEDS)
        if row in found
    ]
    return markdown_table(['score', *columns], lines)


def cells_of(rows: Mapping[str, Mapping], key: str) -> dict[str, str]:
    """Score to its figure, and how far those of a pixel are apart."""
    cells = {row: short(entry[key]) for row, entry in rows.items()}
    spreads = [
        entry[f'{key}_std']
        for row, entry in rows.items()
        if row not in (CONSTANT, 'random')
    ]
    return {**cells, SEEDS: short(max(spreads))}


def question_table(key: str, results: Mapping) -> str:
    """One question of ``scores``, a column for each network."""
    networks = networks_of(results['networks'])
    return score_table(
        {name: cells_of(x['rows'], key) for name, x in networks.items()}
    )


def unknown_table(results: Mapping) -> str:
    """A column for each network and set of unknown objects."""
    columns = {}
    for title, network in networks_of(results['networks']).items():
        rows = {k: row['unknown'] for k, row in network['rows'].items()}
        for name in unknown_of(network, TOTAL):
            columns[f'{title}: {SETS[name]}'] = cells_of(rows, name)
    return score_table(columns)


def sample_table(results: Mapping) -> str:
    """A column for each question asked of the drawn sample."""
    rows = results['sample']['rows']
    titles = dict(
        errors='wrong pixels',
        twins='pixels of twins',
        unseen='pixels of objects never seen',
    )
    return score_table(
        {title: cells_of(rows, key) for key, title in titles.items()}
    )


def component_table(results: Mapping) -> str:
    """The same with component F1*, one seed."""
    columns: dict[str, dict[str, str]] = {}
    for title, sets in networks_of(results['components']).items():
        for name, rows in sets.items():
            columns[f'{title}: {SETS[name]}'] = {
                row: f'{figures["F1"]:.1f}' for row, figures in rows.items()
            }
    return score_table(columns)


def time_table(results: Mapping) -> str:
    """Milliseconds of processor time for an image."""
    return score_table(
        {
            title: {
                row: f'{entry["ms"]:.0f}'
                for row, entry in network['rows'].items()
                if 'ms' in entry
            }
            for title, network in networks_of(results['networks']).items()
        }
    )


def seed_table(results: Mapping) -> str:
    """A row for each network, map and size; more than the bar is bold."""
    found = {
        f'{title}, {name}, {size}': maps[name]
        for size, fits in results['seeds'].items()
        for title, maps in networks_of(fits).items()
        for name in MAPS[1:]
    }
    keys = list(
        dict.fromkeys(key for asked in found.values() for key in asked)
    )
    lines = []
    for name, asked in found.items():
        cells = [
            spread_cell(asked[k][SPREAD]) if k in asked else None for k in keys
        ]
        lines.append([name, *cells])
    names = [SETS.get(key, key) for key in keys]
    return markdown_table(['network, map, fit', *names], lines)


def spread_cell(value: float) -> str:
    text = short(value, MOST_SPREAD)
    return f'**{text}**' if value > MOST_SPREAD else text


def bars(results: Mapping) -> str:
    """What was asked of the maps; missed ones are bold."""
    found = results['networks']
    return bar_table({n: found[n] for n in NETWORKS if n in found})


OF_SCORES: dict[str, Callable[[Mapping], str]] = {
    'errors': partial(question_table, 'errors'),
    'shifts': partial(question_table, 'shifts_mean'),
    'other data': partial(question_table, 'other_data'),
    'images': partial(question_table, 'images_mean'),
    'images of other data': partial(question_table, 'other_images'),
    'unknown objects': unknown_table,
    'bars': bars,
}
TABLES = {
    **OF_SCORES,
    'sample': sample_table,
    'seeds': seed_table,
    'components': component_table,
    'ms': time_table,
}


def main() -> None:
    cli.parser(__doc__, 'python -m benchmarks.proof.page').parse_args()
    results = json.loads(FIGURES.read_text())
    for page in PAGES:
        page.write_text(with_tables(page.read_text(), TABLES, results))


if __name__ == '__main__':
    cli.run(main)
