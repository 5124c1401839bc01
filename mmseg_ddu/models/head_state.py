"""The state of a density head as it comes from a file.

Format 1 had no number; format 2 is the same with ``format_version``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

FORMAT = 2
VERSION = 'format_version'
POSITIVE = ('view_std', 'class_std', 'temperature')
NOT_NEGATIVE = ('class_count', 'class_floor', 'class_weight')
ADVICE = (
    'Fit them again with tools/fit_gda.py, or use the config they were '
    'fitted with.'
)


def check_format(number: object) -> None:
    """Raise ValueError if a file is newer than this release."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(
            f'Expected a format number from 1, but got {number!r:.80}. '
            f'The densities are damaged. {ADVICE}'
        )
    if number > FORMAT:
        raise ValueError(
            f'The densities were written in format {number}, and this release '
            f'knows up to {FORMAT}: upgrade mmseg_ddu.'
        )


def migrate(state: dict[str, Tensor], prefix: str) -> None:
    """Bring the state of an older format to the present one, in place."""
    key = prefix + VERSION
    if key not in state:
        state[key] = torch.tensor(1)
    version = state[key]
    if version.dtype != torch.int64 or version.numel() != 1:
        raise ValueError(f'Expected {key} to be one integer. {ADVICE}')
    check_format(int(version))
    state[key] = torch.full_like(version, FORMAT)


def check_state(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> None:
    """Raise ValueError unless a state fits, and its numbers make sense.

    Args:
        own (Mapping[str, Tensor]): The state of the head that is loaded.
        given (Mapping[str, Tensor]): What it is to be, with the same keys
            if it fits.
    """
    wrong = sorted(set(own) ^ set(given)) or [
        f'{key} {_kind(given[key])} instead of {_kind(tensor)}'
        for key, tensor in own.items()
        if _kind(given[key]) != _kind(tensor)
    ]
    if wrong:
        raise ValueError(
            'The densities in this checkpoint were fitted for another '
            f'gda_head or another network: {"; ".join(wrong[:4])}. {ADVICE}'
        )
    if not given['fitted']:
        return
    damaged = [key for key, value in given.items() if not _sound(key, value)]
    for key in given:
        basis = key.removesuffix('residual_variance') + 'basis'
        if key != basis and basis in given and given[basis].numel():
            damaged += [key] if not given[key] > 0 else []
    if damaged:
        raise ValueError(
            'The densities in this checkpoint are damaged, there are '
            f'impossible numbers in {", ".join(damaged[:4])}. {ADVICE}'
        )


def _kind(tensor: Tensor) -> str:
    """Shape and type; how many bits a float has does not count."""
    kind = 'float' if tensor.is_floating_point() else str(tensor.dtype)
    return f'{tuple(tensor.shape)} {kind.removeprefix("torch.")}'


def _sound(key: str, value: Tensor) -> bool:
    """Whether a fitted head can have these numbers."""
    name = key.rpartition('.')[2]
    if name == 'fitted':
        return bool(value)
    if name == 'log_priors':  # of a class that was never seen: -inf
        finite = value[value != -torch.inf]
        return len(finite) > 0 and bool((finite <= 1e-6).all())
    if value.is_floating_point() and not value.isfinite().all():
        return False
    if name == 'precisions_cholesky':
        matrices = value.ndim == 3
        diagonal = value.diagonal(dim1=1, dim2=2) if matrices else value
        return bool((diagonal > 0).all())
    if name in POSITIVE:
        return bool((value > 0).all())
    if name in NOT_NEGATIVE:
        return bool((value >= 0).all())
    if name == 'score_quantiles':
        return bool((value.diff() >= 0).all())
    return True
