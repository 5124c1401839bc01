"""The tables of docs/training.md that `results/` has.

python -m benchmarks.training.page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.tables import markdown_table, with_tables
from mmseg_ddu.apis import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/training.md'
DATA = dict(camvid9='CamVid', voc5='VOC animals')
COLUMNS = {  # heading and digits
    'miou': ('mIoU', 1),
    'errors': ('errors, total', 3),
    'unknown_epistemic': ('unknown: density', 3),
    'unknown_total': ('total', 3),
    'unknown_entropy': ('entropy', 3),
    'shifts': ('shifts', 3),
    'ece': ('ECE', 1),
    'seconds_per_iteration': ('seconds per iteration', 2),
}


def variant_table(name: str, results: Mapping[str, Mapping]) -> str:
    """A row for each data set and variant of a file of results."""
    rows = [
        [
            f'{DATA[data]}, {variant}',
            len(figures['seeds']),
            *(cell(figures, key) for key in COLUMNS),
        ]
        for data, variants in results[name].items()
        for variant, figures in variants.items()
    ]
    titles = [title for title, _ in COLUMNS.values()]
    return markdown_table(['', 'seeds', *titles], rows)


def cell(figures: Mapping, key: str) -> str:
    """Mean and spread over seeds, each where it is known."""
    digits = COLUMNS[key][1]
    known = [figures[k] for k in (key, f'{key}_std') if figures[k] is not None]
    texts = [f'{value:.{digits}f}' for value in known]
    return ' ± '.join(t.removeprefix('0') if digits > 1 else t for t in texts)


def measured() -> dict:
    """What there is of results, by the name of its table."""
    files = {name: ROOT / f'results/{name}.json' for name in TABLES}
    return {
        name: json.loads(file.read_text())
        for name, file in files.items()
        if file.exists()
    }


TABLES = {
    name: partial(variant_table, name) for name in ('training', 'pruning')
}


def main() -> None:
    cli.parser(__doc__, 'python -m benchmarks.training.page').parse_args()
    PAGE.write_text(with_tables(PAGE.read_text(), TABLES, measured()))


if __name__ == '__main__':
    cli.run(main)
