"""A clear error in place of a process that is killed for its memory."""

from __future__ import annotations

import torch

_NOT_WORTH_A_LOOK = 1 << 28  # bytes
_GIB = 1 << 30


def available_memory(device: torch.device | str = 'cpu') -> int | None:
    """Bytes that can still be taken, or None where that is not known.

    On a GPU, what PyTorch keeps for itself without using it counts as free.
    """
    device = torch.device(device)
    if device.type == 'cuda':
        cached = torch.cuda.memory_reserved(device)
        cached -= torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    try:
        with open('/proc/meminfo') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return 1024 * int(line.split()[1])
    except OSError:  # not Linux
        pass
    return None


def require_memory(
    size: int, what: str, advice: str, device: torch.device | str = 'cpu'
) -> None:
    """Refuse a tensor that does not fit.

    Empty pages are handed out without being there, so an allocation that is
    too large succeeds, and the process is killed when it fills them.

    Args:
        size (int): Bytes.
        what (str): What takes them, plural.
        advice (str): What needs less.
        device (torch.device or str): Where.

    Raises:
        ValueError: If they are not there.
    """
    if size < _NOT_WORTH_A_LOOK:
        return
    free = available_memory(device)
    if free is not None and size > free:
        raise ValueError(
            f'{what} take {size / _GIB:.1f} GiB, but only '
            f'{free / _GIB:.1f} GiB of memory are free. {advice}'
        )
