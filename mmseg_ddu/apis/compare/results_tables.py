"""One table, the same columns for every method."""

from __future__ import annotations

import csv
from pathlib import Path

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.fileio import atomic_write

from .image_pools import KINDS, PLAIN
from .row_counts import key_of

OOD = {'auroc': 'AUROC', 'aupr': 'AUPR', 'fpr95': 'FPR95'}
COSTS = {
    'ms': 'ms/image',
    'peak_mib': 'MiB',
    'passes': 'passes',
    'parameters': 'parameters',
}
AFTER = {'mean': 'mean', 'worst': 'worst', **COSTS}
DIGITS = {'ms': 1, 'peak_mib': 0, 'passes': 0}
NOTE = """
mIoU, calibration and "mis" (misclassified against correct pixels) are on
in-distribution pixels of the plain test images. The other columns without a
name of their own are AUROC: pixels of that kind against those. "mean" and
"worst" are over them. {images} images, {shifted} for each shift; every
{stride}. pixel in both directions.
"""


def metric_columns() -> dict[str, str]:
    """Key to heading of what the metrics show in every table."""
    names = [name for kind in METRIC.values() for name in kind.columns]
    return {key_of(name): name.replace('_', ' ') for name in names}


def lower_is_better(key: str) -> bool:
    """Whether a column's best figure is the smallest."""
    low = [name for kind in METRIC.values() for name in kind.lower_is_better]
    return key in (*map(key_of, low), *COSTS) or key.endswith('fpr95')


def columns(methods: dict[str, dict]) -> dict[str, str]:
    """Key to heading, for what was measured."""
    done = [entry for entry in methods.values() if 'error' not in entry]
    there = {key for entry in done for key in entry}
    keys = metric_columns()
    for kind in KINDS:
        for key, name in OOD.items():
            if f'{kind}_{key}' in there:
                keys[f'{kind}_{key}'] = f'{kind.replace("_", " ")} {name}'
    shifts = [shift for entry in done for shift in entry['shifts']]
    keys.update({f'shifts.{s}': s for s in shifts if s not in KINDS})
    return {**keys, **AFTER}


def value_of(entry: dict, key: str) -> float | None:
    """A figure of a row; None where there is none."""
    head, _, rest = key.partition('.')
    value = entry.get(head)
    return value.get(rest) if rest and value else value


def cell(key: str, value: float | None) -> str:
    """A figure as the table writes it."""
    if value is None:
        return '-'
    if key == 'parameters':
        return f'{value / 1e6:.2f} M'
    return f'{value:.{DIGITS.get(key, 3)}f}'


def markdown(content: dict) -> str:
    """The table, with a note on how to read it."""
    methods = content['methods']
    keys = columns(methods)
    lines = [['method', *keys.values()], ['---', *['---:'] * len(keys)]]
    unreadable, failed = {}, []
    for row, entry in methods.items():
        lines.append([row, *(cell(key, value_of(entry, key)) for key in keys)])
        for image in entry.get('unreadable', []):
            unreadable[image['number']] = (
                f'- An image of {image["pool"]} cannot be read and is left '
                f'out: {image["error"]}'
            )
        if 'error' in entry:
            failed.append(f'- {row} failed: {entry["error"]}')
    images = dict(content['protocol']['images'])
    note = NOTE.format(
        images=images.pop(PLAIN),
        shifted=max(images.values(), default=0),
        stride=content['protocol']['stride'],
    )
    table = [f'| {" | ".join(line)} |' for line in lines]
    remarks = [text for _, text in sorted(unreadable.items())]
    return '\n'.join([*table, note, *remarks, *failed]).rstrip() + '\n'


def write_tables(content: dict, out_dir: Path) -> None:
    """``table.md``, and with all digits and the errors ``table.csv``."""
    with atomic_write(out_dir / 'table.md') as temporary:
        temporary.write_text(markdown(content))
    keys = columns(content['methods'])
    with (
        atomic_write(out_dir / 'table.csv') as temporary,
        temporary.open('w', newline='') as file,
    ):
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['method', *keys, 'error'])
        for row, entry in content['methods'].items():
            values = [value_of(entry, key) for key in keys]
            writer.writerow([row, *values, entry.get('error')])
