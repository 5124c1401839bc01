"""A file of answers, to which each benchmark adds its own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mmseg_ddu.apis import cli
from mmseg_ddu.fileio import write_json


def parser_of_decisions(doc: str, module: str) -> argparse.ArgumentParser:
    """What a benchmark of decisions asks of a fitted model and its data."""
    program = f'python -m benchmarks.decisions.{module}'
    parser = cli.parser(doc, f'{program} CONFIG CHECKPOINT_gda.pth voc21')
    add = parser.add_argument
    add('config')
    add('checkpoint')
    add('name', help='of the data in the file of results')
    add('--split', default='test')
    add('--json', type=Path, default=Path('results/decisions.json'))
    return parser


def add_answer(path: Path, answer: dict[str, Any], *place: str) -> None:
    """Add to a JSON file; what else is in it stays.

    Args:
        path (Path): Begun if it is not there.
        answer (dict): Replaces what has the same keys.
        place (str): Keys that lead to the dict to add to, which is made if
            it is not there.
    """
    there = json.loads(path.read_text()) if path.exists() else {}
    inner = there
    for key in place:
        inner = inner.setdefault(key, {})
    inner.update(answer)
    write_json(path, there)
