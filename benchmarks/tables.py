"""Tables in Markdown, and on pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

MARK = '<!-- figures: {} -->\n'


def markdown_table(header: Iterable, rows: Iterable[Iterable]) -> str:
    """A table; cells are shown as ``str`` does, None as nothing."""
    lines = [list(header)]
    lines.append(['---'] * len(lines[0]))
    lines += [list(row) for row in rows]
    return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def with_tables(
    text: str, tables: Mapping[str, Callable[[Mapping], str]], results: Mapping
) -> str:
    """A page with each table that it marks as the results have it.

    Raises:
        ValueError: If it marks a table that there is not.
    """

    def table(match: re.Match) -> str:
        name = match[1]
        if name not in tables:
            raise ValueError(f'Expected a table of {[*tables]}, not {name}.')
        return MARK.format(name) + tables[name](results) + '\n'

    return re.sub(MARK.format('(.+?)') + r'(?:\|.*\n)*', table, text)


def _cell(value: object) -> str:
    text = '' if value is None else str(value)
    return text.replace('|', r'\|').replace('\n', ' ')
