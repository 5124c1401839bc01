"""Reading and writing checkpoints safely."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmseg_ddu.fileio import atomic_write, require_writable_folder

HEAD_PREFIX = 'gda_head.'
_BUFFER_METHODS = ('min', 'max', 'mean', 'current')


def _history_getattr(owner: Any, name: str) -> Any:
    """``getattr`` for unpickling, of one class and four methods only."""
    if owner is HistoryBuffer and name in _BUFFER_METHODS:
        return getattr(owner, name)
    raise TypeError(f'Refused to unpickle getattr({owner!r}, {name!r}).')


def allow_mmengine_types() -> None:
    """Let ``torch.load(weights_only=True)`` read mmengine checkpoints.

    Training checkpoints hold the log buffers of mmengine and numpy numbers.
    Only those types are allowed, on top of torch's own list; safety is never
    switched off.
    """
    multiarray = (
        np._core.multiarray if hasattr(np, '_core') else (np.core.multiarray)
    )
    types = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        multiarray._reconstruct,
        multiarray.scalar,
        *(type(np.dtype(kind)) for kind in ('f4', 'f8', 'i4', 'i8', 'u1')),
        *(type(np.dtype(kind)) for kind in ('bool', 'u8')),
        (multiarray._reconstruct, 'numpy.core.multiarray._reconstruct'),
        (multiarray.scalar, 'numpy.core.multiarray.scalar'),
        (_history_getattr, 'builtins.getattr'),
    ]
    torch.serialization.add_safe_globals(types)


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint, or a bare state dict, without running its code.

    Returns:
        dict: ``state_dict`` and ``meta`` (empty for a bare state dict).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint {path}.')
    allow_mmengine_types()
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as a checkpoint ({error}). It is damaged, '
            'or holds objects that are not loaded from files for safety; save '
            'its state_dict alone with torch.save.'
        ) from error
    state = content
    if isinstance(content, dict):
        state = content.get('state_dict', content.get('model', content))
    if not isinstance(state, dict) or not any(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise ValueError(f'{path} holds no state_dict.')
    state = {k.removeprefix('module.'): v for k, v in state.items()}
    meta = content.get('meta') if state is not content else None
    return dict(state_dict=state, meta=dict(meta or {}))


def load_weights(model: nn.Module, state_dict: dict, source: str) -> None:
    """Load a state dict; nothing but densities may be missing.

    Raises:
        ValueError: If the weights belong to another network.
    """
    advice = f'The weights in {source} do not belong to this config'
    try:
        result = model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{advice}: {error}') from error
    missing = [
        key
        for key in result.missing_keys
        if not key.startswith(HEAD_PREFIX)
        and not key.endswith('num_batches_tracked')
        and not key.startswith('auxiliary_head')
    ]
    if missing:
        raise ValueError(
            f'{advice}: {len(missing)} keys are missing from them, for '
            f'example {missing[:3]}.'
        )


def save_checkpoint(
    path: str | os.PathLike, state_dict: dict, meta: dict
) -> None:
    """Write a checkpoint of plain types, whole or not at all."""
    path = Path(path)
    require_writable_folder(path.parent)
    state = {key: value.cpu() for key, value in state_dict.items()}
    with atomic_write(path) as temporary:
        torch.save(dict(meta=plain(meta), state_dict=state), temporary)


def weights_digest(path: str | os.PathLike, densities: bool = True) -> str:
    """Hex digest of the weights alone, whatever else the file holds.

    Args:
        path (str): A checkpoint.
        densities (bool): Count fitted densities among the weights; without
            them, all that was fitted to one network has one digest.
    """
    digest = hashlib.sha256()
    for key, value in sorted(read_checkpoint(path)['state_dict'].items()):
        if key.startswith(HEAD_PREFIX) and not densities:
            continue
        digest.update(f'{key} {tuple(value.shape)} {value.dtype}'.encode())
        flat = value.detach().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Only what both pickle stacks and JSON can carry."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (np.ndarray, Tensor)):
        return value.tolist()
    return str(value)  # subclasses of str too, torch.__version__ is one
