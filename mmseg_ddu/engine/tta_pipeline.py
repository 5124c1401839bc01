"""The pipeline of test-time augmentation."""

from __future__ import annotations

import copy

from mmengine.config import Config

from mmseg_ddu.registry import bare_type

from .fitting_data import evaluation_pipeline
from .label_steps import loads_annotations, packs, require_metainfo

FLIPS = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
TTA_MODEL = 'mmseg_ddu.DDUTTAModel'


def tta_pipeline(cfg: Config) -> list[dict]:
    """The config's ``tta_pipeline``, or its test pipeline with a flip.

    Images are flipped in front of the step that loads labels, so that labels
    are not.

    Raises:
        ValueError: If a pipeline given for it augments nothing, or is not
            undone (:func:`require_metainfo`).
    """
    if cfg.get('tta_pipeline') is None:
        load, *rest = evaluation_pipeline(cfg)
        ends = [loads_annotations(step) or packs(step) for step in rest]
        choices = [[step] for step in rest]
        choices.insert([*ends, True].index(True), copy.deepcopy(FLIPS))
        steps = [load, dict(type='TestTimeAug', transforms=choices)]
    else:
        steps = copy.deepcopy(list(cfg.tta_pipeline))
        if not any(_is_augmentation(step) for step in steps):
            raise ValueError(
                'The config has a tta_pipeline without TestTimeAug, so there '
                'is nothing to merge; take it from a config of mmseg, or '
                'leave it out to flip.'
            )
    require_metainfo(steps)
    return steps


def without_annotations(steps: list[dict]) -> list[dict]:
    """A pipeline without steps that load labels, inside TestTimeAug too."""
    kept = []
    for step in steps:
        if _is_augmentation(step):
            choices = map(without_annotations, step['transforms'])
            step = dict(step, transforms=list(filter(None, choices)))
        if not loads_annotations(step):
            kept.append(step)
    return kept


def _is_augmentation(step: dict) -> bool:
    return bare_type(step) == 'TestTimeAug'
