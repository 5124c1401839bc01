"""State and log of a monitor, whole at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmseg_ddu.apis.json_form import has_form, is_number, is_text
from mmseg_ddu.fileio import atomic_write, parse_json, read_json


class MonitorFiles:
    """The state (JSON), the log (a line an image) and the page beside it.

    The state says how much of the log it knows of; what an interrupted run
    left behind that is cut off by the next one.

    Args:
        path (Path): Of the state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.with_suffix('.jsonl')
        self.page = path.with_suffix('.html')
        self._bytes = 0
        if path in (self.log, self.page):
            raise ValueError(
                f'Expected a state that ends in .json, but got {path}; '
                '.jsonl and .html are written beside it.'
            )

    def read(
        self, settings: dict[str, Any], names: list[str]
    ) -> tuple[list[dict], dict | None]:
        """Lines of the log, and the state; None at first.

        Args:
            settings (dict): What must be as it was.
            names (list[str]): Of what is watched: each line has them.

        Raises:
            ValueError: If something is damaged or was begun otherwise.
        """
        if not self.path.exists():
            if self.log.exists():
                raise ValueError(
                    f'There is {self.log} but no {self.path} that it could '
                    'belong to; remove it, or choose another --state.'
                )
            return [], None
        state = read_json(
            self.path,
            lambda value: has_form(value, STATE),
            f'{self.path} is damaged; begin another state.',
        )
        different = [
            name
            for name, value in settings.items()
            if state['settings'].get(name) != value
        ]
        if different:
            raise ValueError(
                f'{self.path} was begun with other settings: '
                f'{", ".join(different)} differ. Go on with the same ones, '
                'or begin another state.'
            )
        self._bytes = state['log_bytes']
        return self._read_log(names), state

    def write(
        self, lines: list[dict], settings: dict[str, Any], detector: Any
    ) -> None:
        """Add lines to the log, then replace the state."""
        with self.log.open('r+b' if self._bytes else 'wb') as file:
            file.truncate(self._bytes)
            file.seek(self._bytes)
            for line in lines:
                file.write(json.dumps(line).encode() + b'\n')
            self._bytes = file.tell()
        state = dict(
            settings=settings, log_bytes=self._bytes, detector=detector
        )
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(state) + '\n')

    def _read_log(self, names: list[str]) -> list[dict]:
        numbers = dict.fromkeys(names, is_number)
        good = dict(GOOD, values=numbers, p=numbers, level=numbers)
        content = self.log.read_bytes() if self.log.is_file() else b''
        whole = len(content) >= self._bytes
        try:
            known = content[: self._bytes].splitlines()
            lines = [parse_json(line) for line in known]
            forms = [LEFT_OUT if 'error' in x else good for x in lines]
            sound = whole and all(map(has_form, lines, forms))
        except (TypeError, ValueError):
            sound = False
        if not sound:
            raise ValueError(
                f'{self.log} is damaged or gone; it belongs to {self.path}. '
                'Begin another state.'
            )
        return lines


ALARM = dict(statistic=is_text, since=is_text, words=is_text, images=[is_text])
LINE = dict(number=is_number, name=is_text, key=is_text, alarms=[ALARM])
LEFT_OUT = dict(LINE, error=is_text)
GOOD = dict(LINE, lost_share=is_number, fine=[is_number])
STATE = dict(
    settings=dict(fit=dict(weights_sha256=is_text), false_alarms=is_number),
    log_bytes=lambda value: type(value) is int and value >= 0,
    detector=lambda value: isinstance(value, dict),
)
