"""What a checkpoint says of its density head, checked before it is used."""

from __future__ import annotations

from typing import Any

from mmseg_ddu.models.head_options import HEAD, check_options, explicit
from mmseg_ddu.models.head_state import ADVICE, check_format

HEAD_TYPES = ('GDAHead', 'mmseg_ddu.GDAHead')
# ``multi-scale``, the default, as it was when files did not write it out.
_STYLE = dict(transform='style', weight=0.75, excess=0.8, optional=True)
_MULTI_SCALE_1 = [
    dict(
        tap='penultimate',
        transform='direction',
        covariance_type='tied',
        standardize=True,
        weight=0.0,
        region_weight=0.6,
        stride=2,
    ),
    dict(tap='logits', transform='entropy', region_weight=1.0),
    dict(_STYLE, tap='backbone[0]'),
    dict(_STYLE, tap='backbone[1]'),
]


def fitted_head(fit: Any) -> dict:
    """The options of the density head in ``meta['gda']``.

    A ``type`` in a config can name any function of Python, so a file may
    name nothing but our head; its options may be what a config's may be.

    Args:
        fit (dict): ``meta['gda']`` of a checkpoint.

    Returns:
        dict: Options of :class:`GDAHead`, with its type.

    Raises:
        ValueError: If they make no sense, or a later release wrote them.
    """
    head = fit.get('head') if isinstance(fit, dict) else None
    if not isinstance(head, dict):
        raise ValueError(
            "Expected meta['gda'] of the checkpoint to be a dict that holds "
            f'the options of the density head. {ADVICE}'
        )
    version = fit.get('format', 1)
    check_format(version)
    head = dict(head)
    kind = head.pop('type', HEAD_TYPES[-1])
    if kind not in HEAD_TYPES:
        raise ValueError(
            f'Expected a density head of type {HEAD_TYPES[-1]}, but the '
            f'checkpoint says {kind!r:.80}.'
        )
    if version == 1 and head.get('views', 'multi-scale') == 'multi-scale':
        head['views'] = _MULTI_SCALE_1
    check_options(head, HEAD, "meta['gda']['head']")
    return dict(explicit(head), type=HEAD_TYPES[-1])
