"""Dropout that stays on at test time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd


def dropout_modules(model: nn.Module) -> list[nn.Module]:
    """All dropout modules with p > 0."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _DropoutNd) and module.p > 0
    ]


@contextmanager
def active_dropout(model: nn.Module) -> Iterator[list[nn.Module]]:
    """Make dropout stochastic, and nothing else, for a while.

    Batch norm and the rest stay in whatever mode they are in.

    Yields:
        list[nn.Module]: The dropout modules that are active.
    """
    modules = dropout_modules(model)
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = True
        yield modules
    finally:
        for module, training in zip(modules, before):
            module.training = training


@contextmanager
def dropout_behind(module: nn.Module, layer: nn.Module) -> Iterator[None]:
    """Pass the tensor that a module returns through a dropout layer.

    For a while; the layer decides by its own mode whether it does anything.
    """

    def apply(_: nn.Module, __: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise TypeError(
                f'Expected {type(module).__name__} to return one tensor, but '
                f'got {type(output).__name__}; insert the dropout behind a '
                'submodule of it.'
            )
        return layer(output)

    handle = module.register_forward_hook(apply)
    try:
        yield
    finally:
        handle.remove()
