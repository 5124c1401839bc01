"""The results as a page: page.md with the figures filled in."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.tables import markdown_table
from mmseg_ddu.fileio import atomic_write

from .configs import CLASSES, IMAGE, LARGE, WINDOW

TEMPLATE = Path(__file__).with_name('page.md')
STATUSES = ('works', 'refused', 'error', 'unbuildable')
REASONS = dict(
    error='Errors',
    refused='Refused',
    unbuildable='What mmseg cannot run here',
)


def headline(result: dict) -> str:
    """One line with the counts and the shares."""
    refused = sum(result['refused'].values())
    runs = result['works'] + refused + result['error']
    share = 100 * result['works'] / runs if runs else 0.0
    return (
        f'mmseg {result["mmseg"]}: {result["tried"]} of its '
        f'{result["configs"]} configs tried, {result["models"]} different '
        f'models; of {runs} configs that mmseg can run here '
        f'{result["works"]} work ({share:.1f}%), {refused} are refused with '
        f'a reason, {result["error"]} fail; {result["unbuildable"]} more '
        'mmseg cannot build or run here.'
    )


def page(result: dict) -> str:
    """The page for what ``zoo_coverage`` returns."""
    rows = result['rows']
    header = ('method', 'backbone', 'decode heads', *STATUSES)
    results = [markdown_table(header, _by_parts(rows))]
    for status, title in REASONS.items():
        if counts := _reasons(rows, status):
            table = markdown_table(('configs', 'of', 'reason'), counts)
            results += [f'## {title}', table]
    return TEMPLATE.read_text().format(
        headline=headline(result),
        small='x'.join(map(str, IMAGE)),
        large='x'.join(map(str, LARGE)),
        window=WINDOW,
        classes=CLASSES,
        results='\n\n'.join(results),
    )


def write_page(path: str | os.PathLike, result: dict) -> None:
    """Write the page, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(page(result))


def _by_parts(rows: list[dict]) -> list[tuple]:
    groups: dict[tuple, Counter] = defaultdict(Counter)
    for row in rows:
        key = (row['method'], row['backbone'], row['heads'])
        groups[key][row['status']] += 1
    return [
        (*key, *(counts[status] or None for status in STATUSES))
        for key, counts in sorted(groups.items())
    ]


def _reasons(rows: list[dict], status: str) -> list[tuple]:
    counts: Counter = Counter()
    methods = defaultdict(set)
    for row in rows:
        if row['status'] == status:
            counts[row['reason']] += 1
            methods[row['reason']].add(row['method'])
    return [
        (count, ', '.join(sorted(methods[reason])), reason)
        for reason, count in counts.most_common()
    ]
