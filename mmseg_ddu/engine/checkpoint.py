"""Reading and writing checkpoints safely."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmseg_ddu.fileio import atomic_write, require_writable_file
from mmseg_ddu.models.abstention import PREFIX as ABSTENTION
from mmseg_ddu.models.fitted_state import FIT_PREFIXES

from .safe_load import load

MAX_EXPANDED = 1 << 30  # bytes of a tensor that repeats its storage


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint, or a bare state dict, without running its code.

    What is in ``state_dict`` beside tensors is left out.

    Returns:
        dict: ``state_dict`` and ``meta`` (empty for a bare state dict).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, could run code, or holds tensors
            that are not plain numbers in memory.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint {path}.')
    content = load(str(path))
    content = content if isinstance(content, dict) else {}
    state = content.get('state_dict', content.get('model', content))
    meta = content.get('meta') if state is not content else None
    meta = {} if meta is None else meta
    if not isinstance(meta, dict):
        raise ValueError(f'Expected meta in {path} to be a dict.')
    state = {
        str(key).removeprefix('module.'): value
        for key, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, Tensor)
    }
    if not state:
        raise ValueError(f'{path} holds no state_dict.')
    for key, value in state.items():
        _check_tensor(f'{key} in {path}', value)
    return dict(state_dict=state, meta=_with_dataset_meta(meta))


def _with_dataset_meta(meta: dict) -> dict:
    """Classes and palette where mmseg 1.x has them, whatever wrote them.

    mmseg 0.x has ``CLASSES`` and ``PALETTE`` in ``meta`` itself, the first
    releases of 1.0 in ``dataset_meta``.
    """
    given = meta.get('dataset_meta')
    given = given if isinstance(given, dict) else {}
    found = {
        name.lower(): meta[name]
        for name in ('CLASSES', 'PALETTE')
        if meta.get(name)
    }
    found.update({str(key).lower(): value for key, value in given.items()})
    return dict(meta, dataset_meta=found) if found else dict(meta)


def _check_tensor(name: str, value: Tensor) -> None:
    """Raise ValueError unless it is a plain tensor in memory."""
    plain_type = type(value) in (Tensor, nn.Parameter)
    dense = value.layout == torch.strided and not value.is_nested
    if not (plain_type and dense) or value.is_quantized or value.is_complex():
        raise ValueError(
            f'Expected {name} to be a dense tensor, but got {value.dtype}, '
            f'{value.layout}; convert it before it is saved.'
        )
    if value.device.type == 'meta':
        raise ValueError(f'{name} has a shape but no numbers.')
    size = value.numel() * value.element_size()
    if size > max(value.untyped_storage().nbytes(), MAX_EXPANDED):
        raise ValueError(
            f'{name} has the shape {tuple(value.shape)}, but few numbers of '
            'its own; call contiguous() before it is saved.'
        )


def load_weights(model: nn.Module, state_dict: dict, source: str) -> None:
    """Load a state dict; nothing but densities may be missing.

    Weights that the model has no place for are a warning.

    Raises:
        ValueError: If the weights belong to another network.
    """
    advice = f'The weights in {source} do not belong to this config'
    own = model.state_dict()
    for key, value in state_dict.items():
        if key in own and not key.endswith('num_batches_tracked'):
            kinds = value.is_floating_point(), own[key].is_floating_point()
            if kinds[0] != kinds[1]:
                raise ValueError(
                    f'{advice}: {key} is of type {value.dtype} instead of '
                    f'{own[key].dtype}.'
                )
    try:
        result = model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{advice}: {error}') from error
    missing = [k for k in result.missing_keys if not _may_be_left(k)]
    if missing:
        raise ValueError(
            f'{advice}: {len(missing)} keys are missing from them, for '
            f'example {missing[:3]}.'
        )
    unused = [k for k in result.unexpected_keys if not _may_be_left(k)]
    if unused:
        MMLogger.get_current_instance().warning(
            f'{len(unused)} of the weights in {source} have no place in this '
            f'config, for example {unused[:3]}: is it the config of the '
            'training?'
        )


def _may_be_left(key: str) -> bool:
    """Whether a weight is of no use to predictions."""
    return key.startswith((*FIT_PREFIXES, 'auxiliary_head')) or key.endswith(
        'num_batches_tracked'
    )


def without_fit(state_dict: dict) -> dict:
    """The weights of the network alone."""
    return {
        key: value
        for key, value in state_dict.items()
        if not key.startswith(FIT_PREFIXES)
    }


def save_checkpoint(
    path: str | os.PathLike, state_dict: dict, meta: dict
) -> None:
    """Write a checkpoint of plain types, whole or not at all."""
    path = Path(path)
    require_writable_file(path)
    state = {key: value.cpu() for key, value in state_dict.items()}
    with atomic_write(path) as temporary, temporary.open('wb') as file:
        # By its path, PyTorch would refuse a name without a suffix.
        torch.save(dict(meta=plain(meta), state_dict=state), file)


def weights_digest(path: str | os.PathLike, densities: bool = True) -> str:
    """Hex digest of the weights alone, whatever else the file holds.

    Args:
        path (str): A checkpoint.
        densities (bool): Count fitted densities among the weights, but not
            the thresholds of an abstention; without them, all that was
            fitted to one network has one digest.
    """
    digest = hashlib.sha256()
    left = ABSTENTION if densities else FIT_PREFIXES
    for key, value in sorted(read_checkpoint(path)['state_dict'].items()):
        if not key.startswith(left):
            shape = tuple(value.shape)
            digest.update(f'{key} {shape} {value.dtype}'.encode())
            flat = value.detach().clone(memory_format=torch.contiguous_format)
            digest.update(flat.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Only what both pickle stacks and JSON can carry."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray, Tensor)):
        return value.tolist()
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)  # subclasses of str too, torch.__version__ is one


def digest(value: Any, length: int = 16) -> str:
    """A name of so many hex digits for a config or a list of files.

    The same for the same values, of which :func:`plain` is taken.
    """
    text = json.dumps(plain(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
