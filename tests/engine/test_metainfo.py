"""What a prediction needs, to be brought back to its image."""

import numpy as np
import pytest
import torch

from mmseg_ddu.apis import fit_gda, init_ddu, predict
from mmseg_ddu.apis.inference import inference_pipeline
from mmseg_ddu.engine.fitting_data import evaluation_pipeline
from mmseg_ddu.engine.label_steps import warn_of_what_stays
from mmseg_ddu.engine.tta_pipeline import tta_pipeline

LOAD = dict(type='LoadImageFromFile')
SIZES = ('ori_shape', 'img_shape')
FLIP = ('flip', 'flip_direction')


def with_steps(cfg, *steps, meta_keys):
    pack = dict(type='PackSegInputs', meta_keys=meta_keys)
    cfg.test_dataloader.dataset.pipeline = [LOAD, *steps, pack]
    return cfg


@pytest.mark.parametrize('left_out', [*SIZES, *FLIP])
def test_a_flip_that_could_not_be_undone_is_refused(plain_cfg, left_out):
    flip = dict(type='mmseg.RandomFlip', prob=1.0)
    inside = dict(type='RandomApply', transforms=[flip])
    keys = [key for key in SIZES + FLIP if key != left_out]
    for step in (flip, inside):
        with_steps(plain_cfg, step, meta_keys=keys)
        with pytest.raises(ValueError, match=f"'{left_out}'.*RandomFlip"):
            inference_pipeline(plain_cfg)
        with_steps(plain_cfg, step, meta_keys=SIZES + FLIP)
        assert len(evaluation_pipeline(plain_cfg)) == 3


def test_other_steps_need_the_sizes_alone(plain_cfg):
    resize = dict(type='Resize', scale=(32, 32))
    with_steps(plain_cfg, resize, meta_keys=SIZES)
    evaluation_pipeline(plain_cfg)
    with pytest.raises(ValueError, match='flip_direction'):
        tta_pipeline(plain_cfg)  # flips by itself
    with_steps(plain_cfg, resize, meta_keys=('img_path',))
    with pytest.raises(ValueError, match='ori_shape.*Resize'):
        evaluation_pipeline(plain_cfg)
    evaluation_pipeline(with_steps(plain_cfg, meta_keys=('img_path',)))


@pytest.mark.parametrize(
    'step, told',
    [
        (dict(type='Pad', size_divisor=32), 1),
        (dict(type='mmseg.RandomRotate', prob=1.0, degree=9), 1),
        (dict(type='Resize', scale=(32, 32)), 0),
        (dict(type='RandomFlip', prob=1.0), 0),
    ],
)
def test_what_mmseg_does_not_undo_is_named(plain_cfg, said, step, told):
    warn_of_what_stays.cache_clear()
    with_steps(plain_cfg, step, meta_keys=SIZES + FLIP)
    for _ in range(2):
        evaluation_pipeline(plain_cfg)
    assert len(said) == told
    assert all(step['type'].split('.')[-1] in text for text in said)


def test_a_padded_image_is_stretched(plain_cfg, checkpoint):
    """Which the warning is about: classes move with the padding."""
    fitted = fit_gda(plain_cfg, checkpoint)
    image = np.zeros((96, 96, 3), np.uint8)
    image[:, 48:] = 255
    plain = predict(init_ddu(plain_cfg, fitted), image)
    with_steps(plain_cfg, dict(type='Pad', size=(192, 96)), meta_keys=SIZES)
    padded = predict(init_ddu(plain_cfg, fitted), image)
    assert padded.pred_epistemic.shape == plain.pred_epistemic.shape
    upper, same = (s.pred_epistemic.data[0, :40] for s in (plain, padded))
    assert not torch.allclose(same, upper, rtol=0.1)


def test_augmentations_of_the_config(plain_cfg):
    keys = SIZES + FLIP[:1]
    pack = dict(type='PackSegInputs', meta_keys=keys)
    choices = [[dict(type='RandomFlip')], [pack]]
    augment = dict(type='TestTimeAug', transforms=choices)
    plain_cfg.tta_pipeline = [LOAD, augment]
    with pytest.raises(ValueError, match='flip_direction'):
        tta_pipeline(plain_cfg)
