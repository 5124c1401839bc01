"""From a user's model config to the config with a density head."""

from __future__ import annotations

import copy

from mmengine.config import ConfigDict

from mmseg_ddu.registry import OWN_SCOPE, registered_class, type_name

from .ddu_subclass import why_not_derived
from .heads import REFUSED_HEADS, UnsupportedModelError, refusal

DDU_TYPES = {
    'EncoderDecoder': 'mmseg_ddu.DDUEncoderDecoder',
    'CascadeEncoderDecoder': 'mmseg_ddu.DDUCascadeEncoderDecoder',
}
REFUSED_TYPES = {
    'DepthEstimator': 'It predicts depth, not classes, and the Gaussians '
    'belong to classes. Use a segmentation model.',
    'MultimodalEncoderDecoder': 'Its head classifies masks by the closest '
    'text embedding, so no pixel has a feature that a classifier sees. Use '
    'an EncoderDecoder, with the same backbone if you like.',
}
SUBCLASS = 'mmseg_ddu.DDUSubclass'
MC_TYPE = OWN_SCOPE + 'MCDropoutEncoderDecoder'
ENSEMBLE_TYPE = OWN_SCOPE + 'EnsembleSegmentor'

OWN_OPTIONS = (
    'segmentor',
    'gda_head',
    'extra_heads',
    'num_passes',
    'dropout_after',
    'dropout_p',
)


def is_ddu(model: dict) -> bool:
    """Whether a model config already has a density head."""
    return type_name(model).startswith(OWN_SCOPE + 'DDU')


def to_ddu_model(
    model: dict,
    gda_head: dict | None = None,
    extra_heads: dict[str, dict] | None = None,
) -> ConfigDict:
    """The DDU form of a model config; the given one is left alone.

    Args:
        model (dict): ``model`` of an mmseg config.
        gda_head (dict, optional): Arguments of the density head, on top of
            those in the config.
        extra_heads (dict[str, dict], optional): Further density heads by
            name, beside those in the config.

    Returns:
        ConfigDict: The same model with a density head.

    Raises:
        UnsupportedModelError: A TypeError, for segmentors and decode heads
            that have no DDU form, with the reason and what to use instead.
    """
    model = ConfigDict(copy.deepcopy(dict(model)))
    if not is_ddu(model):
        kind = _name(model)
        if kind in DDU_TYPES:
            model['type'] = DDU_TYPES[kind]
        else:
            _require_derived(model)
            model.update(type=SUBCLASS, segmentor=model['type'])
    head = _name(last_head(model))
    if head in REFUSED_HEADS:  # before its weights are made
        raise UnsupportedModelError(refusal(head))
    if gda_head:
        there = {} if 'preset' in gda_head else model.get('gda_head') or {}
        model['gda_head'] = ConfigDict({**there, **gda_head})
    if extra_heads:
        there = model.get('extra_heads') or {}
        model['extra_heads'] = ConfigDict({**there, **extra_heads})
    return model


def _require_derived(model: dict) -> None:
    """Raise unless the segmentor is like those that it is derived from."""
    kind, head = _name(model), _name(last_head(model))
    if kind in REFUSED_TYPES:
        advice = REFUSED_TYPES[kind]
    elif not head:
        advice = (
            'It has no decode_head, so it is no semantic segmentor of mmseg: '
            'detection, instance and panoptic segmentation have no density '
            f'per pixel and class. Use one of {sorted(DDU_TYPES)}.'
        )
    else:
        why = why_not_derived(registered_class(model.get('type', '')))
        if not why:
            return
        advice = (
            f'{why} Supported are {sorted(DDU_TYPES)} and what is derived '
            'from them. Write a subclass with '
            'mmseg_ddu.models.ddu_segmentor.DDUMixin in front of it.'
        )
    of_head = f' with a {head}' if head else ''
    raise UnsupportedModelError(
        f'There is no DDU form of the segmentor {kind!r}{of_head}. {advice}'
    )


def last_head(model: dict) -> dict:
    """Config of the last decode head of a model config."""
    head = model.get('decode_head') or {}
    return head[-1] if isinstance(head, (list, tuple)) else head


def _name(config: dict) -> str:
    """Type of the config of a module."""
    if not isinstance(config, dict):
        raise TypeError(
            f'Expected the config of a module to be a dict: {config!r:.80}.'
        )
    return type_name(config)


def to_plain_model(model: dict) -> ConfigDict:
    """The mmseg form of a model config: no density, no sampling.

    Raises:
        TypeError: For segmentors of ours that have no plain form.
    """
    model = ConfigDict(copy.deepcopy(dict(model)))
    kind = type_name(model)
    plain = {
        **{ddu: name for name, ddu in DDU_TYPES.items()},
        MC_TYPE: 'EncoderDecoder',
        SUBCLASS: model.get('segmentor'),
    }
    if kind in plain:
        model['type'] = plain[kind]
        for key in OWN_OPTIONS:
            model.pop(key, None)
    elif kind.startswith(OWN_SCOPE):
        raise TypeError(f'There is no plain form of the segmentor {kind!r}.')
    return model


def to_mc_dropout_model(model: dict, **options) -> ConfigDict:
    """The MC dropout form of a model config.

    ``options`` are arguments of :class:`MCDropoutEncoderDecoder`.

    Raises:
        TypeError: For anything but an ``EncoderDecoder``.
    """
    model = to_plain_model(model)
    if type_name(model) != 'EncoderDecoder':
        raise TypeError(
            f'There is no MC dropout form of the segmentor {model["type"]!r}.'
        )
    model.update(type=MC_TYPE, **options)
    return model


def to_ensemble_model(model: dict, members: int, **options) -> ConfigDict:
    """The config of an ensemble of plain networks of one kind.

    ``options`` are further arguments of :class:`EnsembleSegmentor`.
    """
    member = to_plain_model(model)
    member.pop('auxiliary_head', None)  # for training alone
    return ConfigDict(
        type=ENSEMBLE_TYPE,
        member=member,
        num_members=members,
        **options,
    )
