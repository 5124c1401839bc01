"""Named choices that a new file adds to."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any


class NameRegistry(dict):
    """Name to class or function.

    Args:
        kind (str): What is registered, for error messages.

    Example:
        >>> shapes = NameRegistry('a shape')
        >>> @shapes.register()
        ... def square(side: float) -> float:
        ...     return side**2
        >>> shapes.find('square')(3)
        9
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str | None = None) -> Callable[[Any], Any]:
        """A decorator; the name is that of the class or function if None.

        Raises:
            ValueError: If something else has the name.
        """

        def add(entry: Any) -> Any:
            key = name or entry.__name__
            if key in self:
                raise ValueError(f'There is {self.kind} {key!r} already.')
            self[key] = entry
            return entry

        return add

    def find(self, name: Any) -> Any:
        """What has this name.

        Raises:
            ValueError: If nothing has; it lists what there is.
        """
        if not isinstance(name, str) or name not in self:
            raise ValueError(
                f'Expected {self.kind} to be one of {sorted(self)}, but got '
                f'{name!r:.80}.'
            )
        return self[name]


def import_all(package: ModuleType) -> None:
    """Import every module of a package, so that what is in them registers."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f'{package.__name__}.{module.name}')
