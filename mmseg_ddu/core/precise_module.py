"""Modules that stay in float32 in a network of half precision."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class PreciseModule(nn.Module):
    """Moves to any device, but never below float32 (``model.half()``)."""

    def _apply(self, fn: Callable, recurse: bool = True) -> PreciseModule:
        def apply(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if tensor.is_floating_point() and moved.element_size() < 4:
                moved = tensor.to(moved.device)
            return moved

        return super()._apply(apply, recurse)
