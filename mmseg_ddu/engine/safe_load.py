"""Reading files of torch without running what is in them.

A pickle can name any function of Python and have it called. Here a file gets
torch's own list of harmless types, and stand-ins for the few others that
mmengine's checkpoints hold; the stand-ins look at what they are given and
become numbers, arrays and log buffers once everything is read.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

OLDEST_TORCH = '2.6.0'
MAX_DEPTH, MAX_ITEMS = 50, 2_000_000
TRUSTED = ContextVar('trusted', default=False)
# Kinds of numbers: f8 and f4 are metrics, i8 counts.
_KINDS = ('b1', *(f'{k}{size}' for k in 'iu' for size in (1, 2, 4, 8)))
_KINDS += ('f2', 'f4', 'f8')
_torch_load = torch.load

if digit_version(torch.__version__) < digit_version(OLDEST_TORCH):
    raise ImportError(
        f'mmseg_ddu needs torch {OLDEST_TORCH} or newer, but found '
        f'{torch.__version__}: older ones can run code from a checkpoint '
        'even with weights_only=True (CVE-2025-32434).'
    )


class _Dtype:
    """Stands in for ``numpy.dtype``: plain numbers, no flags, no fields.

    A real one takes flags from the file, and then reads numbers as
    addresses.
    """

    def __init__(self, kind: str, align: bool = False, copy: bool = False):
        if kind not in _KINDS:
            raise TypeError(f'Refused numpy.dtype({kind!r}).')
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple) -> None:
        _, order, *rest = state
        if order not in ('<', '>', '|', '=') or rest != _NO_FIELDS:
            raise TypeError(f'Refused a numpy.dtype with the state {state}.')
        self.dtype = self.dtype.newbyteorder(order)


_NO_FIELDS = [None, None, None, -1, -1, 0]


class _Array:
    """Stands in for ``numpy.ndarray`` and how it is made again."""

    def __init__(self, *args: Any) -> None:
        """What comes with the type is not needed."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        # Without data numpy has no buffer to read from.
        values = np.frombuffer(
            data or bytes(dtype.dtype.itemsize), dtype.dtype
        )
        values = values[: len(data) // dtype.dtype.itemsize]
        order = 'F' if fortran else 'C'
        self.real = values.reshape(shape, order=order).copy()


class _History:
    """Stands in for ``mmengine.logging.HistoryBuffer``."""

    def __setstate__(self, state: dict) -> None:
        arrays = state['_log_history'], state['_count_history']
        if not all(isinstance(array, _Array) for array in arrays):
            raise TypeError('Expected arrays in the log buffers.')
        self.real = HistoryBuffer(max_length=int(state['max_length']))
        self.real._log_history, self.real._count_history = (
            array.real for array in arrays
        )


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype, 1)[0]


def _no_bytes() -> bytes:
    """The data of an empty array."""
    return b''


def _no_getattr(owner: Any, name: str) -> str:
    """Log buffers name their methods; a new buffer has them anyway."""
    if owner is _History:
        return name
    raise TypeError(f'Refused getattr({owner!r}, {name!r}).')


_STAND_INS: list[tuple[Any, str]] = [
    (_History, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_no_getattr, 'builtins.getattr'),
    (_no_bytes, 'builtins.bytes'),
    (_Dtype, 'numpy.dtype'),
    (_Array, 'numpy.ndarray'),
]
for _core in ('numpy._core.multiarray', 'numpy.core.multiarray'):
    _STAND_INS += [
        (_Array, f'{_core}._reconstruct'),
        (_scalar, f'{_core}.scalar'),
    ]


def load(file: Any, map_location: Any = 'cpu', **options: Any) -> Any:
    """``torch.load`` of data alone.

    What mmengine would run as a config (``meta['config']``) is left out.

    Args:
        file (str or file): Where it is.
        map_location: As in ``torch.load``.
        options: Further arguments of ``torch.load``.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, or could run code; nothing was run.
    """
    name = getattr(file, 'name', file if isinstance(file, str) else 'The file')
    name = os.fspath(file) if isinstance(file, os.PathLike) else name
    if TRUSTED.get():
        warnings.warn(
            f'{name} is trusted: code that it holds is run.', stacklevel=2
        )
        return _torch_load(
            file, map_location=map_location, weights_only=False, **options
        )
    try:
        with _allowed(_STAND_INS):
            content = _torch_load(
                file, map_location=map_location, weights_only=True, **options
            )
        content = _real(content, 0, itertools.count())
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f'{name} cannot be read as a checkpoint ({_reason(error)}). It is '
            'damaged, or holds objects that could run code; nothing of it '
            'was run. If you trust where it comes from, use '
            '--trust-checkpoint (trust_checkpoints() in Python), or save its '
            'state_dict alone with torch.save.'
        ) from error
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


@contextmanager
def safe_loading() -> Iterator[None]:
    """Inside, whoever calls ``torch.load`` gets :func:`load`.

    mmengine's runner, ``init_cfg=dict(type='Pretrained')`` and backbones that
    fetch weights read files on their own. Also a decorator. Not for several
    threads at once.
    """
    before = torch.load
    torch.load = _load_for_others
    try:
        yield
    finally:
        torch.load = before


@contextmanager
def trust_checkpoints() -> Iterator[None]:
    """Inside, files may run code: for those of your own alone."""
    token = TRUSTED.set(True)
    try:
        yield
    finally:
        TRUSTED.reset(token)


def _reason(error: Exception) -> str:
    """The first sentence of what torch says, without its advice."""
    text = str(error).rpartition('WeightsUnpickler error: ')[2].strip()
    first = text.partition('. Please use')[0].partition('\n')[0]
    return first.rstrip('. ') or type(error).__name__


def _load_for_others(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    **options: Any,
) -> Any:
    """The arguments of ``torch.load``; those on safety do not count."""
    options.pop('encoding', None)
    return load(f, map_location, **options)


@contextmanager
def _allowed(types: list) -> Iterator[None]:
    """These types alone, whatever the rest of the process allows."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(types)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _real(value: Any, depth: int, items: Iterator[int]) -> Any:
    """Stand-ins replaced by what they stand for, in place.

    Raises:
        ValueError: On nesting that only a hostile file has: what comes later
            must be able to walk through it.
    """
    if depth > MAX_DEPTH or next(items) > MAX_ITEMS:
        raise ValueError('Its contents are nested without end.')
    if isinstance(value, (_Array, _History)):
        return value.real
    if isinstance(value, dict):
        for key in value:
            value[key] = _real(value[key], depth + 1, items)
    elif isinstance(value, list):
        value[:] = [_real(item, depth + 1, items) for item in value]
    elif type(value) is tuple:
        value = tuple(_real(item, depth + 1, items) for item in value)
    return value
