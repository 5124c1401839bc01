"""Which configs there are, and what is changed in them."""

import pytest
from mmengine.config import Config

from benchmarks.zoo.configs import (
    digest,
    kinds,
    read_leaf,
    runnable,
    zoo_configs,
    zoo_root,
)


def test_mmseg_ships_its_configs():
    names = zoo_configs(zoo_root())
    assert len(names) > 500
    assert not any('_base_' in name for name in names)
    pspnet = [name for name in names if name.startswith('pspnet/')]
    assert '_r18-' in pspnet[0]
    methods = [name.split('/')[0] for name in names]
    first = methods[: len(set(methods))]
    assert sorted(first) == sorted(set(methods))


def test_a_folder_without_configs_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='no config'):
        zoo_configs(tmp_path)


def test_nothing_but_weights_norms_windows_and_classes_changes():
    model = dict(
        type='EncoderDecoder',
        pretrained='open-mmlab://x',
        backbone=dict(
            type='BEiT',
            img_size=(640, 640),
            norm_cfg=dict(type='SyncBN', eps=1e-3),
            init_cfg=dict(type='Pretrained', checkpoint='x.pth'),
        ),
        decode_head=dict(
            type='UPerHead',
            num_classes=150,
            init_cfg=dict(type='Normal', std=0.01),
            loss_decode=dict(type='CrossEntropyLoss', class_weight=[1] * 150),
        ),
        test_cfg=dict(mode='slide', crop_size=(640, 640), stride=(426, 426)),
    )
    before = Config(dict(model=model)).model
    got, notes = runnable(before)
    assert before.backbone.init_cfg.checkpoint == 'x.pth'
    assert 'pretrained' not in got
    assert 'init_cfg' not in got['backbone']
    assert got['backbone']['norm_cfg'] == dict(type='BN', eps=1e-3)
    assert list(got['backbone']['img_size']) == [64, 64]
    assert got['decode_head']['init_cfg'] == dict(type='Normal', std=0.01)
    assert got['decode_head']['num_classes'] == 19
    assert got['test_cfg']['crop_size'] == [64, 64]
    assert notes == dict(
        classes=19,
        classes_in_config=150,
        mode='slide',
        window=[64, 64],
        window_in_config=[640, 640],
    )
    before.decode_head.num_classes = 60
    before.decode_head.loss_decode.loss_weight = 2.0
    assert digest(runnable(before)[0]) == digest(got)
    before.decode_head.type = 'FCNHead'
    assert digest(runnable(before)[0]) != digest(got)


def test_parts_of_a_cascade():
    root = zoo_root()
    (name,) = [
        name
        for name in zoo_configs(root)
        if name.startswith('ocrnet/ocrnet_hr18s_4xb2-40k')
    ]
    assert kinds(name, read_leaf(root / name).model) == dict(
        method='ocrnet',
        segmentor='CascadeEncoderDecoder',
        backbone='HRNet',
        heads='FCNHead+OCRHead',
    )
