"""The figures of a benchmark as text."""

from __future__ import annotations

from prettytable import PrettyTable, TableStyle

from .scaling import PATHS


def as_text(result: dict) -> str:
    """Markdown tables for the terminal or a page."""
    machine = result['machine']
    parts = [
        f'{machine["gpu"] or machine["cpu"]}, {machine["threads"]} of '
        f'{machine["cores"]} CPU cores, {machine["clock"]}; '
        f'{result["size"]}x{result["size"]}',
        _methods(result),
        _memory(result),
        'Fit of {images} images {fit_s} s, evaluation {evaluation_s} s: '
        '{ratio}'.format(**result['fit']),
    ]
    for axis, rows in result['scaling']['tables'].items():
        table = _table([axis, *(f'{name} [s]' for name in PATHS)])
        for row in rows:
            seconds = [row['seconds'][name] for name in PATHS]
            table.add_row(
                [row[axis], *('-' if s is None else s for s in seconds)]
            )
        parts.append(table.get_string())
    return '\n\n'.join(parts)


def _table(columns: list[str]) -> PrettyTable:
    table = PrettyTable(columns)
    table.set_style(TableStyle.MARKDOWN)
    return table


def _methods(result: dict) -> str:
    table = _table(
        [
            *('method', 'median [s]', 'min - max [s]', 'over plain'),
            *('over DDU', 'GFLOP', 'parameters [M]', 'density [M]'),
        ]
    )
    for name, row in result['methods'].items():
        table.add_row(
            [
                name,
                row['median_s'],
                f'{row["min_s"]} - {row["max_s"]}',
                row.get('over_plain', ''),
                row.get('over_ddu', ''),
                round(row['gflop'], 2),
                round(row['parameters'] / 1e6, 2),
                round(row['density_numbers'] / 1e6, 2),
            ]
        )
    return table.get_string()


def _memory(result: dict) -> str:
    memory = result['memory_mib']
    table = _table(
        ['density', 'scoring [MiB]', 'prediction minus plain [MiB]']
    )
    for name, scoring in memory['scoring'].items():
        table.add_row([name, scoring, memory['prediction_minus_plain'][name]])
    return table.get_string()
