"""The figures of a benchmark as text."""

from __future__ import annotations

from benchmarks.tables import markdown_table

from .densities import PATHS


def as_text(result: dict) -> str:
    """Markdown tables for the terminal or a page."""
    machine = result['machine']
    size = 'x'.join(map(str, result['size']))
    parts = [
        f'{machine["gpu"] or machine["cpu"]}, {machine["threads"]} of '
        f'{machine["cores"]} CPU cores, {machine["clock"]}; {size}',
        _methods(result['methods']),
        _memory(result['memory_mib']),
        'Fit of {images} images {fit_s} s, evaluation {evaluation_s} s: '
        '{ratio}'.format(**result['fit']),
        'DDU adds {operators} operators and {host_syncs} waits for the device '
        'to a batch of two'.format(**result['operators']),
    ]
    for axis, rows in result['scaling']['tables'].items():
        header = [axis, *(f'{name} [s]' for name in PATHS)]
        cells = [
            [row[axis], *(row['seconds'][name] for name in PATHS)]
            for row in rows
        ]
        parts.append(markdown_table(header, cells))
    return '\n\n'.join(parts)


def _methods(methods: dict[str, dict]) -> str:
    header = [
        *('method', 'median [s]', 'min - max [s]', 'over plain'),
        *('over DDU', 'GFLOP', 'parameters [M]', 'density [M]'),
    ]
    rows = [
        [
            name,
            row['median_s'],
            f'{row["min_s"]} - {row["max_s"]}',
            row['over_plain'],
            row['over_ddu'],
            round(row['gflop'], 2),
            round(row['parameters'] / 1e6, 2),
            round(row['density_numbers'] / 1e6, 2),
        ]
        for name, row in methods.items()
    ]
    return markdown_table(header, rows)


def _memory(memory: dict) -> str:
    header = ['method', 'scoring [MiB]', 'prediction [MiB]']
    rows = [
        [name, memory['scoring'].get(name), peak]
        for name, peak in memory['prediction'].items()
    ]
    return markdown_table(header, rows)
