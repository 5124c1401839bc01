"""Times, memory and FLOPs of a function, measured."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

MIB = 1 << 20


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


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
    clock = time.perf_counter if device.type == 'cuda' else time.process_time
    if warmup:
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            synchronize(device)
            start = clock()
            function()
            synchronize(device)
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
    """Most memory a function holds beyond what was held before, in MiB.

    On a GPU what torch allocates; on Linux the resident memory of the
    process, whoever allocates it, with the peak counter of the kernel reset
    first; elsewhere None.
    """
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    try:
        # Freed memory that the C library keeps would hide new use.
        ctypes.CDLL('libc.so.6').malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')
        before = _status('VmRSS')
        function()
        return (_status('VmHWM') - before) / 1024
    except (OSError, AttributeError):
        return None


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(name + ':'):
            return int(line.split()[1])
    raise OSError(f'There is no {name} in /proc/self/status.')


def flops(function: Callable[[], object]) -> int:
    """Floating point operations in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()
