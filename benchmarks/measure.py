"""Times, memory and FLOPs of a function, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmseg_ddu.apis.compare.costs import MIB, memory_growth


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    warmup: bool = True,
) -> dict[str, list[float]]:
    """Seconds of each function, one after the other in every round.

    On a CPU these are seconds of processor time, which other programs on
    the machine disturb less than the clock on the wall; with one thread
    they are the same on an idle machine.
    """
    cuda = device.type == 'cuda'
    clock = time.perf_counter if cuda else time.process_time
    if warmup:
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            if cuda:
                torch.cuda.synchronize(device)
            start = clock()
            function()
            if cuda:
                torch.cuda.synchronize(device)
            seconds[name].append(clock() - start)
    return seconds


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and range."""
    return dict(
        median_s=round(statistics.median(seconds), 4),
        min_s=round(min(seconds), 4),
        max_s=round(max(seconds), 4),
        rounds=len(seconds),
    )


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios within each round."""
    return round(statistics.median(a / b for a, b in zip(above, below)), 4)


def peak_mib(
    function: Callable[[], object], device: torch.device
) -> float | None:
    """Most MiB a call holds on top, None where that cannot be told."""
    growth = memory_growth(function, device)
    return None if growth is None else round(growth / MIB, 1)


class OperatorCounter(TorchDispatchMode):
    """Counts operators that compute or copy, and waits for the device.

    Views are left out; ``_unsafe_view`` is one, though not called so.

    Attributes:
        operators (int): So far.
        host_syncs (int): Those whose result Python looks at.
    """

    WAITING = ('_local_scalar_dense', 'nonzero', 'equal', 'is_nonzero')

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.host_syncs = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.operators += not (function.is_view or name == '_unsafe_view')
        self.host_syncs += name in self.WAITING
        return function(*args, **(kwargs or {}))


def flops(function: Callable[[], object]) -> int:
    """Floating point operations in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()
