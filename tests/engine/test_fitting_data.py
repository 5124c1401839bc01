"""Which images, prepared how."""

import pytest

from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_pipeline,
    held_out_images,
)


def test_held_out_images():
    assert held_out_images(1, 0.1, 0) == []
    assert held_out_images(100, 0, 0) == []
    chosen = held_out_images(100, 0.1, 0)
    assert len(set(chosen)) == 10
    assert chosen == held_out_images(100, 0.1, 0)
    assert chosen != held_out_images(100, 0.1, 1)
    assert len(held_out_images(3, 0.1, 0)) == 1
    with pytest.raises(ValueError, match='calibration_fraction'):
        held_out_images(3, 1.5, 0)


def test_pipelines_and_wrappers(plain_cfg):
    train = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', imdecode_backend='cv2'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackSegInputs'),
    ]
    test = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='PackSegInputs'),
    ]
    got = [step['type'] for step in fitting_pipeline(test, train)]
    assert got == [
        'LoadImageFromFile',
        'Resize',
        'LoadAnnotations',
        'PackSegInputs',
    ]
    with pytest.raises(ValueError, match='loads annotations'):
        fitting_pipeline(test, test)
    inner = plain_cfg.train_dataloader.dataset
    twice = dict(type='ConcatDataset', datasets=[inner, inner])
    plain_cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=5, dataset=twice
    )
    assert len(fitting_dataset(plain_cfg)) == 24
