"""Which augmentations a config is tested with."""

import pytest

from mmseg_ddu.engine.tta_pipeline import tta_pipeline, without_annotations


def types(steps):
    return [step['type'] for step in steps]


def test_the_flip_stands_in_front_of_the_labels(plain_cfg):
    plain_cfg.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(32, 32)),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    load, augment = tta_pipeline(plain_cfg)
    assert load['type'] == 'LoadImageFromFile'
    assert augment['type'] == 'TestTimeAug'
    resize, flips, labels, pack = augment['transforms']
    assert types(flips) == ['RandomFlip', 'RandomFlip']
    assert [flip['prob'] for flip in flips] == [0.0, 1.0]
    assert types(resize + labels + pack) == [
        'Resize',
        'LoadAnnotations',
        'PackSegInputs',
    ]


def test_a_pipeline_of_the_config_comes_first(plain_cfg):
    given = [
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[
                [
                    dict(type='Resize', scale_factor=0.5, keep_ratio=True),
                    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
                ],
                [dict(type='LoadAnnotations')],
                [dict(type='PackSegInputs')],
            ],
        ),
    ]
    plain_cfg.tta_pipeline = given
    assert types(tta_pipeline(plain_cfg)) == types(given)
    bare = without_annotations(tta_pipeline(plain_cfg))
    kept = [types(choice) for choice in bare[1]['transforms']]
    assert kept == [['Resize', 'Resize'], ['PackSegInputs']]
    plain_cfg.tta_pipeline = given[:1]
    with pytest.raises(ValueError, match='without TestTimeAug'):
        tta_pipeline(plain_cfg)
