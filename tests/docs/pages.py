"""Fenced blocks of Markdown pages, and what to do with each."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r'(?:^[ ]*<!--\s*(?P<note>(?:(?!-->).)*?)\s*-->\n+)?'
    r'^(?P<indent>[ ]*)```(?P<language>[\w-]*)[ ]*\n'
    r'(?P<text>.*?)^[ ]*```[ ]*$',
    re.M | re.S,
)
NOT_RUN = re.compile(r'not run:\s*(.+)', re.S)
NEEDS = re.compile(r'needs:\s*([\w ]+)')  # modules, or the block is skipped
# The two commands of the README, which other tests are about.
NOTES = {
    'main command': 'it builds an environment; the demo has its own test',
    'test command': 'it builds an environment and runs these tests',
}
INSTALLERS = re.compile(r'^(pip|apt-get|uv|conda|mim) |python3? -m pip', re.M)
# What only a block of Python that is part of a config looks like.
BASE_VARIABLE = re.compile(r'{{\s*_base_[\w.]*\s*}}')


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page (str): Path of the page, from the root of the project.
        line (int): Of the opening fence.
        language (str): As written behind the fence, or empty.
        text (str): What is inside.
        reason (str, optional): Why it is not run.
        needs (tuple[str, ...]): Modules without which it is skipped.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f'{self.page}:{self.line}'

    @property
    def runs_here(self) -> bool:
        """Whether it is to run and what it needs is installed."""
        return self.reason is None and all(map(find_spec, self.needs))


def pages() -> list[str]:
    """The README and all pages of docs/."""
    found = sorted(ROOT.glob('docs/**/*.md'))
    return ['README.md', *(str(path.relative_to(ROOT)) for path in found)]


def blocks_of(page: str) -> list[Block]:
    """Blocks of a page in their order."""
    return parse(page, (ROOT / page).read_text())


def parse(page: str, content: str) -> list[Block]:
    """Blocks of Markdown text."""
    found = []
    for match in BLOCK.finditer(content):
        line = content.count('\n', 0, match.start('indent')) + 1
        text = textwrap.dedent(match['text'])
        note, language = match['note'] or '', match['language']
        reason = reason_of(note, language, text)
        needed = NEEDS.fullmatch(note)
        needs = tuple(needed[1].split()) if needed else ()
        found.append(Block(page, line, language, text, reason, needs))
    return found


def reason_of(note: str, language: str, text: str) -> str | None:
    """Why a block is not run, or None."""
    if note in NOTES:
        return NOTES[note]
    if marked := NOT_RUN.fullmatch(note):
        return ' '.join(marked[1].split())
    if language == 'bash' and INSTALLERS.search(text):
        return 'it installs packages'
    return None


def is_config(text: str) -> bool:
    """Whether Python text is part of an mmengine config.

    That is: ``{{_base_.x}}``, or nothing but assignments of literals and
    calls of ``dict``.
    """
    if BASE_VARIABLE.search(text):
        return True
    statements = ast.parse(text).body
    calls = [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    ]
    return all(isinstance(each, ast.Assign) for each in statements) and all(
        isinstance(call.func, ast.Name) and call.func.id == 'dict'
        for call in calls
    )
