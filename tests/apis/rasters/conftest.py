"""Networks that are small."""

from __future__ import annotations

import pytest
import torch

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis.rasters.window_prediction import WindowPredictor
from mmseg_ddu.registry import MODELS
from tests.stand_in import make_stand_in

from . import short_sighted


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """Config and checkpoint: maps are functions of a pixel's colour."""
    return make_stand_in(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='session')
def _kept():
    """Names and contents of files that are made once."""
    return {}


@pytest.fixture
def before_window(monkeypatch):
    """Do something before a window, by its number; count them."""
    real = WindowPredictor.__call__

    def install(number, action):
        seen = []

        def call(*args):
            seen.append(args[3])
            if len(seen) == number:
                action()
            return real(*args)

        monkeypatch.setattr(WindowPredictor, '__call__', call)
        return seen

    return install


@pytest.fixture
def short(_kept, plain_cfg, tmp_path):
    """Config, weights and fitted weights of a network with convolutions."""
    files = [tmp_path / name for name in ('c.py', 'short.pth', 'fitted.pth')]
    if not _kept:
        _make_short(plain_cfg, *files)
        _kept.update({path.name: path.read_bytes() for path in files})
    for path in files:
        path.write_bytes(_kept[path.name])
    return files


def _make_short(cfg, config, weights, fitted):
    classes = cfg.model.decode_head.num_classes
    cfg.model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[120.0, 110.0, 100.0],
            std=[60.0] * 3,
            bgr_to_rgb=True,
        ),
        backbone=dict(type='ShortSighted'),
        decode_head=dict(short_sighted.HEAD, num_classes=classes),
        test_cfg=dict(mode='whole'),
    )
    cfg.custom_imports = dict(imports=[short_sighted.__name__])
    cfg.dump(config)
    torch.manual_seed(3)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    meta = dict(dataset_meta=dict(classes=list(cfg.metainfo.classes)))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), weights)
    fit_gda(cfg, weights, fitted)
