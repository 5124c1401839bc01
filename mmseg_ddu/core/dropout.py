"""Dropout that stays on at test time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_DROPOUT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


def dropout_modules(model: nn.Module) -> list[nn.Module]:
    """All dropout modules with p > 0."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _DROPOUT) and module.p > 0
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
