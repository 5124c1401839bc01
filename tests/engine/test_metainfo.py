"""What a prediction needs, to be brought back to its image."""

import pytest

from mmseg_ddu.apis.inference import inference_pipeline
from mmseg_ddu.engine.fitting_data import evaluation_pipeline
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


def test_augmentations_of_the_config(plain_cfg):
    keys = SIZES + FLIP[:1]
    pack = dict(type='PackSegInputs', meta_keys=keys)
    choices = [[dict(type='RandomFlip')], [pack]]
    augment = dict(type='TestTimeAug', transforms=choices)
    plain_cfg.tta_pipeline = [LOAD, augment]
    with pytest.raises(ValueError, match='flip_direction'):
        tta_pipeline(plain_cfg)
