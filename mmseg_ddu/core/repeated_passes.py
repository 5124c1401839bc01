"""Repeat a stochastic forward pass without repeating its first part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class RepeatedPasses:
    """Remember what ran before the first stochastic module.

    Everything in a forward pass up to the first active dropout is the same
    in every Monte Carlo pass. While recording, the outputs of the largest
    modules that finished before that point are kept; while replaying, those
    modules return what they returned and only the rest computes. It works
    for any network: with dropout in front of the classifier alone, a pass
    costs one classifier.

    Args:
        model (nn.Module): Everything below it takes part.
        stochastic (Iterable[nn.Module]): The modules that differ from pass
            to pass.
    """

    def __init__(
        self, model: nn.Module, stochastic: Iterable[nn.Module]
    ) -> None:
        self._modules = [m for m in model.modules() if m is not model]
        self._stochastic = set(stochastic)
        self._records: list[tuple[nn.Module, Any, Any]] = []
        self._starts: list[int] = []
        self._open = False
        self.kept: dict[nn.Module, list[Any]] = {}

    @contextmanager
    def first_pass(self) -> Iterator[None]:
        """Run the first pass inside."""
        self._records, self._starts, self._open = [], [], True
        self.kept = {}
        handles = []
        for module in self._modules:
            handles.append(module.register_forward_pre_hook(self._before))
            handles.append(module.register_forward_hook(self._after))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._close()

    @contextmanager
    def further_pass(self) -> Iterator[None]:
        """Run each further pass inside."""
        try:
            for module, outputs in self.kept.items():
                module.forward = _replayed(module.forward, outputs)
            yield
        finally:
            for module in self.kept:
                module.__dict__.pop('forward', None)

    def _before(self, module: nn.Module, _: Any) -> None:
        if self._open and module in self._stochastic:
            self._close()
        if self._open:
            self._starts.append(len(self._records))

    def _after(self, module: nn.Module, _: Any, output: Any) -> None:
        if not self._open:
            return
        # What ran inside this module is covered by its own output.
        del self._records[self._starts.pop() :]
        self._records.append((module, output, _versions(output)))

    def _close(self) -> None:
        if not self._open:
            return
        self._open = False
        # An output that was changed in place since cannot be replayed; an
        # earlier call left out would shift the later ones, so such a module
        # is computed afresh altogether.
        changed = {
            module
            for module, output, versions in self._records
            if versions != _versions(output)
        }
        for module, output, _ in self._records:
            if module not in changed:
                self.kept.setdefault(module, []).append(_copy(output))
        self._records = []


def _replayed(forward: Any, outputs: list[Any]) -> Any:
    """Stand-in for ``forward``: the kept outputs first, then the real one."""
    rest = iter(outputs)

    def call(*args: Any, **kwargs: Any) -> Any:
        for output in rest:
            return _copy(output)
        return forward(*args, **kwargs)

    return call


def _versions(value: Any) -> list[int]:
    """In-place change counters of the tensors; inference tensors have none."""
    if isinstance(value, Tensor):
        return [0 if torch.is_inference(value) else value._version]
    if isinstance(value, dict):
        value = list(value.values())
    items = value if isinstance(value, (list, tuple)) else ()
    return [version for item in items for version in _versions(item)]


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*map(_copy, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copy, value))
    return value
