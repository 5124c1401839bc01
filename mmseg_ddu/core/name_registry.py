"""Named choices that a new file adds to."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from .errors import require


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
        known = isinstance(name, str) and name in self
        require(known, f'{self.kind} to be one of {sorted(self)}', name)
        return self[name]


def import_all(package: str) -> None:
    """Import every module of a package, so that what is in them registers."""
    for module in pkgutil.iter_modules(sys.modules[package].__path__):
        importlib.import_module(f'{package}.{module.name}')
