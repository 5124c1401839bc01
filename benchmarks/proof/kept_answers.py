"""Answers of long measurements, each in a file with its settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.gda_head import FORMAT

SETTINGS = ('fit_images', 'images', 'shift_images')


class KeptAnswer(NamedTuple):
    """One file of the folder of runs, and how it is made.

    Attributes:
        file (Path): With settings and answer.
        measure (Callable): Gives the answer.
        args (tuple): Of that; the last one has the settings.
        more (Mapping): Settings beside ``SETTINGS`` of those.
    """

    file: Path
    measure: Callable[..., Any]
    args: tuple
    more: Mapping[str, Any] = MappingProxyType({})

    def settings(self) -> dict:
        """What the answer holds for."""
        given = vars(self.args[-1])
        own = {name: given[name] for name in SETTINGS if name in given}
        return dict(own, format=FORMAT, **self.more)

    def make(self) -> None:
        """Measure, and keep the answer."""
        start = time.perf_counter()
        answer = self.measure(*self.args)
        write_json(self.file, dict(settings=self.settings(), answer=answer))
        minutes = (time.perf_counter() - start) / 60
        print(f'{self.file.stem}: {minutes:.1f} minutes', flush=True)

    def answer(self) -> Any:
        """What was kept.

        Raises:
            ValueError: If it is of other settings.
        """
        there = json.loads(self.file.read_text())
        known = isinstance(there, dict) and there.get('settings')
        if known != self.settings():
            raise ValueError(
                f'{self.file} is of other settings than {self.settings()}. '
                'Choose another --runs, or delete it.'
            )
        return there['answer']

    def kept(self) -> Any:
        """The answer, measured first if it is not there."""
        if not self.file.exists():
            self.make()
        return self.answer()
