"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def markdown_table(header: Iterable, rows: Iterable[Iterable]) -> str:
    """A table; cells are shown as ``str`` does, None as nothing."""
    lines = [list(header)]
    lines.append(['---'] * len(lines[0]))
    lines += [list(row) for row in rows]
    return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def _cell(value: object) -> str:
    text = '' if value is None else str(value)
    return text.replace('|', r'\|').replace('\n', ' ')
