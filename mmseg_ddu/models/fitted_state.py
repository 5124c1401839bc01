"""What a fit adds to the weights, as it comes from a file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .abstention import PREFIX as ABSTENTION
from .gda_head import FORMAT

# Of keys in a state dict.
CALIBRATION_PREFIXES = ('map_calibration.', 'image_novelty.')
DENSITY_PREFIXES = ('gda_head.', 'extra_heads.', *CALIBRATION_PREFIXES)
FIT_PREFIXES = (*DENSITY_PREFIXES, ABSTENTION)
POSITIVE = ('scale', 'temperature')
NOT_NEGATIVE = ('class_count', 'sketch_rest', 'sketch_reference')
MAY_BE_ENDLESS = ('log_norms', 'sketch_constant')  # -inf: a class not seen
AGAIN = 'Fit again with tools/fit_gda.py.'


def check_format(number: object) -> None:
    """Raise ValueError unless this release wrote the format."""
    if type(number) is not int or number != FORMAT:
        raise ValueError(
            f'The densities in this checkpoint are of format {number!r:.40} '
            f'and this release knows format {FORMAT}. {AGAIN}'
        )


def check_state(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> None:
    """Raise ValueError unless a state fits, and its numbers make sense.

    mmengine loads non-strictly and only logs a missing or misshapen key,
    which would leave densities that are half somebody else's.

    Args:
        own (Mapping[str, Tensor]): The state of the segmentor.
        given (Mapping[str, Tensor]): What it is to be. Without any density
            in it nothing is checked.
    """
    own = {k: v for k, v in own.items() if k.startswith(DENSITY_PREFIXES)}
    given = {k: v for k, v in given.items() if k.startswith(DENSITY_PREFIXES)}
    if not given:
        return
    version = given.get('gda_head.format_version')
    if version is None or version.numel() != 1:
        raise ValueError(
            'The densities in this checkpoint are those of another score '
            f'that this release does not have. {AGAIN}'
        )
    check_format(version.item())
    missing = sorted(set(own) - set(given))
    if missing and set(given) < set(own) and all(map(_calibrates, missing)):
        raise ValueError(
            'The densities in this checkpoint have no calibration '
            f'({missing[0]} is not there). {AGAIN}'
        )
    wrong = sorted(set(own) ^ set(given)) or [
        f'{key} {_kind(given[key])} instead of {_kind(tensor)}'
        for key, tensor in own.items()
        if _kind(given[key]) != _kind(tensor)
    ]
    if wrong:
        raise ValueError(
            'The densities in this checkpoint were fitted for another '
            f'gda_head or another network: {"; ".join(wrong[:4])}. {AGAIN}'
        )
    if not given['gda_head.fitted']:
        return
    damaged = [key for key, value in given.items() if not _sound(key, value)]
    if damaged:
        raise ValueError(
            'The densities in this checkpoint are damaged, there are '
            f'impossible numbers in {", ".join(damaged[:4])}. {AGAIN}'
        )


def _calibrates(key: str) -> bool:
    """Whether it says how rare a value is in training, not what it is."""
    return key.startswith(CALIBRATION_PREFIXES) or '.surprise.' in key


def _kind(tensor: Tensor) -> str:
    """Shape and type; how many bits a float has does not count."""
    kind = 'float' if tensor.is_floating_point() else str(tensor.dtype)
    return f'{tuple(tensor.shape)} {kind.removeprefix("torch.")}'


def _sound(key: str, value: Tensor) -> bool:
    """Whether a fit can have these numbers."""
    name = key.rpartition('.')[2]
    if name == 'fitted':
        return bool(value)
    if name in MAY_BE_ENDLESS:
        value = value[value != -torch.inf]
        return name != 'log_norms' or bool(len(value) and _finite(value))
    if not _finite(value):
        return False
    if name == 'precisions_cholesky':
        matrices = value.ndim == 3
        diagonal = value.diagonal(dim1=1, dim2=2) if matrices else value
        return bool((diagonal > 0).all())
    if name in POSITIVE:
        return bool((value > 0).all())
    if name in NOT_NEGATIVE:
        return bool((value >= 0).all())
    if name == 'cells':  # lines that rise
        return bool((value[:, 1] >= 0).all())
    if name == 'quantiles':
        return bool((value.diff() >= 0).all())
    return True


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
