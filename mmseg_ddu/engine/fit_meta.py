"""What a checkpoint says of its fit, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.logging import MMLogger

from mmseg_ddu.models.fitted_state import AGAIN, check_format
from mmseg_ddu.models.uncertainty_maps import slide_sizes
from mmseg_ddu.registry import bare_type

HEAD_TYPES = ('GDAHead', 'mmseg_ddu.GDAHead')
MAX_HEADS = 32
PLAIN = (str, int, float, bool, type(None))
WITH_A_MODE = dict(  # in meta of a checkpoint
    gda='The densities were fitted with the test mode',
    abstention='The thresholds of the abstention were found with the test '
    'mode',
)


def fitted_heads(fit: Any) -> dict:
    """The options of the density heads in ``meta['gda']``.

    A ``type`` in a config can name any function of Python, so a file may
    name nothing but our head, with plain options.

    Args:
        fit (dict): ``meta['gda']`` of a checkpoint.

    Returns:
        dict: ``gda_head`` and ``extra_heads`` of a segmentor.

    Raises:
        ValueError: If they make no sense, or another release wrote them.
    """
    if not isinstance(fit, dict):
        raise ValueError(
            "Expected meta['gda'] of the checkpoint to be a dict that holds "
            f'the options of the density head. {AGAIN}'
        )
    check_format(fit.get('format'))
    extra = fit.get('extra_heads') or {}
    if not isinstance(extra, dict) or len(extra) > MAX_HEADS:
        raise ValueError(f"Unexpected extra_heads in meta['gda']. {AGAIN}")
    return dict(
        gda_head=_checked(fit.get('head')),
        extra_heads={str(name): _checked(h) for name, h in extra.items()},
    )


def _checked(head: Any) -> dict:
    if not isinstance(head, dict):
        raise ValueError(
            'Expected the options of a density head in the checkpoint to be '
            f'a dict, but got {head!r:.80}. {AGAIN}'
        )
    head = dict(head)
    kind = head.pop('type', HEAD_TYPES[-1])
    if kind not in HEAD_TYPES:
        raise ValueError(
            f'Expected a density head of type {HEAD_TYPES[-1]}, but the '
            f'checkpoint says {kind!r:.80}.'
        )
    for name, value in head.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(each, PLAIN) for each in values):
            raise ValueError(
                f'Expected {name} of the density head in the checkpoint to '
                f'be plain, but got {value!r:.80}.'
            )
    return dict(head, type=HEAD_TYPES[-1])


def test_mode(test_cfg: Mapping | None, pipeline: list[dict]) -> dict:
    """What the features of a pixel depend on beside the network."""
    test_cfg = dict(test_cfg or {})
    mode = test_cfg.get('mode', 'whole')
    sizes = slide_sizes(test_cfg) if mode == 'slide' else ()
    resize = [
        {k: v for k, v in step.items() if k not in ('type', 'interpolation')}
        for step in pipeline
        if bare_type(step).startswith('Resize')
    ]
    return dict(
        mode=mode,
        **dict(zip(('crop_size', 'stride'), sizes)),
        resize=resize,
    )


def warn_of_other_mode(
    meta: Mapping, test_cfg: Mapping | None, pipeline: list[dict]
) -> None:
    """Warn if images were treated otherwise when a checkpoint was made.

    Args:
        meta (Mapping): Of the checkpoint.
        test_cfg (Mapping, optional): Of the model that is used now.
        pipeline (list[dict]): That its images go through.
    """
    now = _in_words(test_mode(test_cfg, pipeline))
    for key, what in WITH_A_MODE.items():
        part = meta.get(key)
        then = part.get('test_mode') if isinstance(part, dict) else None
        if then and _in_words(then) != now:
            MMLogger.get_current_instance().warning(
                f'{what} {_in_words(then)} and are used with {now}. Features '
                'depend on it: fit again with this config, or maps and '
                'promises mean something else.'
            )


def _in_words(mode: Any) -> str:
    """Tuples and lists are the same."""
    if isinstance(mode, dict):
        items = sorted((str(k), _in_words(v)) for k, v in mode.items())
        return ', '.join(f'{key} {value}' for key, value in items)
    if isinstance(mode, (list, tuple)):
        return '[' + ', '.join(map(_in_words, mode)) + ']'
    return str(mode)
