"""From a user's model config to the config with a density head."""

from __future__ import annotations

import copy

from mmengine.config import ConfigDict

DDU_TYPES = {
    'EncoderDecoder': 'mmseg_ddu.DDUEncoderDecoder',
    'CascadeEncoderDecoder': 'mmseg_ddu.DDUCascadeEncoderDecoder',
}
OWN_SCOPE = 'mmseg_ddu.'


def is_ddu(model: dict) -> bool:
    """Whether a model config already has a density head."""
    return str(model.get('type', '')).startswith(OWN_SCOPE + 'DDU')


def to_ddu_model(model: dict, gda_head: dict | None = None) -> ConfigDict:
    """The DDU form of a model config; the given one is left alone.

    Args:
        model (dict): ``model`` of an mmseg config.
        gda_head (dict, optional): Arguments of the density head, on top of
            those in the config.

    Returns:
        ConfigDict: The same model with a density head.

    Raises:
        TypeError: For segmentors that have no DDU form.
    """
    model = ConfigDict(copy.deepcopy(dict(model)))
    if not is_ddu(model):
        kind = str(model.get('type', '')).removeprefix('mmseg.')
        if kind not in DDU_TYPES:
            raise TypeError(
                f'There is no DDU form of the segmentor {model.get("type")!r};'
                f' supported are {sorted(DDU_TYPES)}. Write a subclass with '
                'mmseg_ddu.models.ddu_segmentor.DDUMixin in front of it.'
            )
        model['type'] = DDU_TYPES[kind]
    if gda_head:
        head = dict(gda_head)
        if 'views' not in head:
            head = {**dict(model.get('gda_head') or {}), **head}
        model['gda_head'] = ConfigDict(head)
    return model
