"""What a method costs: time, memory, parameters."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

WARM_UP = 2
MIB = 1 << 20
_STATUS = Path('/proc/self/status')
_CLEAR = Path('/proc/self/clear_refs')


def measure_cost(
    predict: Callable[[Any], Any], model: nn.Module, batches: Sequence[Any]
) -> dict:
    """Time and memory of a prediction, alone and at full resolution.

    Reading the image is not counted; preprocessing, resizing to the size of
    the image and the scores are. The model is all that has to be in memory.

    Returns:
        dict: ``ms`` per image (median), ``peak_mib`` (weights and what a
        prediction needs on top, None where that cannot be told) and
        ``parameters`` (buffers of densities included).
    """
    weights = list(model.parameters())
    weights += [
        b for n, b in model.named_buffers() if n.startswith('gda_head')
    ]
    device = weights[0].device
    for batch in batches[:WARM_UP]:
        predict(batch)
    times = []
    for batch in batches:
        _wait(device)
        start = time.perf_counter()
        predict(batch)
        _wait(device)
        times.append(time.perf_counter() - start)
    growth = [
        memory_growth(partial(predict, batch), device)
        for batch in batches[:WARM_UP]
    ]
    own = sum(w.nbytes for w in weights)
    return dict(
        ms=1000 * median(times),
        peak_mib=None if None in growth else (own + max(growth)) / MIB,
        parameters=sum(w.numel() for w in weights),
    )


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def memory_growth(
    function: Callable[[], Any], device: torch.device
) -> int | None:
    """Most bytes a call holds on top of what is there before.

    On a GPU what torch allocates; on Linux the resident memory of the
    process, whoever allocates it; elsewhere None.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    if not os.access(_CLEAR, os.W_OK):  # not Linux
        return None
    # Let the allocator return freed memory, so that it is seen again.
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text('5')  # resets the high-water mark
    before = _resident('VmRSS')
    function()
    return max(0, _resident('VmHWM') - before)


def _resident(field: str) -> int:
    (value,) = re.findall(rf'{field}:\s*(\d+) kB', _STATUS.read_text())
    return 1024 * int(value)
