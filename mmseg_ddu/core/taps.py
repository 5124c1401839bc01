"""Taking the features of named modules out of a forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor


class FeatureTap:
    """Record what goes into or comes out of modules while active.

    The hooks live only inside the ``with`` block, so a model is left as it
    was, and two models never share state. Of several calls the last counts.

    Args:
        modules (Mapping[str, tuple]): Name to (module, ``'input'`` or
            ``'output'``), and, for a module that gives several tensors,
            which of them, counted from 0 or, negative, from the end.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> with FeatureTap({'x': (layer, 'input')}) as tap:
        ...     _ = layer(torch.ones(3, 2))
        >>> tap['x'].shape
        torch.Size([3, 2])
    """

    def __init__(self, modules: Mapping[str, tuple]) -> None:
        self._modules = modules
        self._features: dict[str, Any] = {}
        self._handles: list = []

    def __enter__(self) -> FeatureTap:
        for name, (module, side, *_) in self._modules.items():
            keep = partial(self._keep, name)
            if side == 'input':
                handle = module.register_forward_pre_hook(keep)
            else:
                handle = module.register_forward_hook(keep)
            self._handles.append(handle)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _keep(self, name: str, _: object, args: tuple, *output: Any) -> None:
        self._features[name] = output[0] if output else args[0]

    @property
    def names(self) -> list[str]:
        """Of all modules that are tapped."""
        return list(self._modules)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._features:
            raise KeyError(
                f'The module behind {name!r} was not called in '
                'this forward pass.'
            )
        value = self._features[name]
        place = self._modules[name]
        if len(place) > 2:
            try:
                value = value[place[2]]
            except (IndexError, TypeError, KeyError) as error:
                raise TypeError(
                    f'The module behind {name!r} gives no output '
                    f'{place[2]}: {error}.'
                ) from error
        if not isinstance(value, Tensor):
            raise TypeError(
                f'Expected the module behind {name!r} to give one tensor, '
                f'but got {type(value).__name__}; name a submodule of it.'
            )
        return value
