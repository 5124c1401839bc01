"""What the options of a density head may be.

They come from configs, from command lines and from checkpoint files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmseg_ddu.core.covariance import (
    COVARIANCE_TYPES,
    SHRINKAGE_TARGETS,
)
from mmseg_ddu.core.discriminant import PRIORS

from .presets import DEFAULT, resolve_views

MAX_VIEWS, MAX_CHANNELS = 32, 1 << 16
Check = Callable[[Any], bool]


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds)


def _one_of(choices: Sequence[str]) -> Check:
    return lambda value: isinstance(value, str) and value in choices


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _between(low: float, high: float) -> Check:
    def check(value: Any) -> bool:
        number = isinstance(value, float) or _whole(value)
        return number and math.isfinite(value) and low <= value <= high

    return check


def _dimensions(value: Any) -> bool:
    return value is None or (_whole(value) and 1 <= value <= MAX_CHANNELS)


def _shrinkage(value: Any) -> bool:
    return value == 'oas' or _between(0, 1)(value)


_DENSITY: dict[str, tuple[Check, str]] = dict(
    covariance_type=(
        _one_of(COVARIANCE_TYPES),
        f'one of {COVARIANCE_TYPES}',
    ),
    rank=(_dimensions, f'None or an integer from 1 to {MAX_CHANNELS}'),
    shrinkage=(_shrinkage, "'oas' or a number in [0, 1]"),
    shrinkage_target=(
        _one_of(SHRINKAGE_TARGETS),
        f'one of {SHRINKAGE_TARGETS}',
    ),
    reg_covar=(_between(1e-30, 1e30), 'a positive number'),
    priors=(_one_of(PRIORS), f'one of {PRIORS}'),
)
HEAD = dict(
    _DENSITY,
    views=(_is(str, list, tuple), 'a name or a list of views'),
    normalize=(_is(bool), 'True or False'),
    channels=(_dimensions, f'None or an integer from 1 to {MAX_CHANNELS}'),
    num_classes=(_between(1, 1 << 16), 'a positive integer'),
)
VIEW = dict(
    _DENSITY,
    tap=(_is(str), 'the name of a module'),
    transform=(_is(str), 'a name'),
    channels=HEAD['channels'],
    standardize=(_is(bool), 'True or False'),
    weight=(_between(-1e6, 1e6), 'a number'),
    region_weight=(_between(-1e6, 1e6), 'a number'),
    excess=(
        lambda value: value is None or _between(0, 1)(value),
        'None or a number in [0, 1]',
    ),
    stride=(lambda value: _whole(value) and value >= 1, 'an integer >= 1'),
    optional=(_is(bool), 'True or False'),
    window=(
        lambda value: _whole(value) and value >= 1 and value % 2 == 1,
        'an odd integer',
    ),
    log_scale=(
        lambda value: value is None or _between(1e-30, 1e30)(value),
        'None or a positive number',
    ),
)


def checked_views(views: Any) -> list[dict]:
    """The views behind a name or a list, each option checked.

    Raises:
        ValueError: That names the option and what it may be.
    """
    views = resolve_views(views)
    if len(views) > MAX_VIEWS:
        raise ValueError(
            f'Expected at most {MAX_VIEWS} views, but got {len(views)}.'
        )
    for view in views:
        check_options(view, VIEW, 'a view')
    return views


def check_options(
    options: Mapping, allowed: Mapping[str, tuple[Check, str]], where: str
) -> None:
    """Raise ValueError unless all options are known and make sense."""
    unknown = sorted(map(str, set(options) - set(allowed)))
    if unknown:
        raise ValueError(
            f'Unknown options {unknown} of {where}; there are '
            f'{sorted(allowed)}.'
        )
    for name, value in options.items():
        check, expected = allowed[name]
        if not check(value):
            raise ValueError(
                f'Expected {name} of {where} to be {expected}, but got '
                f'{value!r:.80}.'
            )


def explicit(head: Mapping) -> dict:
    """The options with their views written out.

    What a name stands for may change from release to release.
    """
    return dict(head, views=checked_views(head.get('views', DEFAULT)))
