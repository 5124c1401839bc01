"""A tiny fitted network, built once, and few small images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.registry import MODELS
from tests.conftest import CONFIGS, DEMO, shrink


def make_tiny(folder: Path, sample_root: Path) -> tuple[Path, Path]:
    """A config and a fitted checkpoint, for images as they are."""
    init_default_scope('mmseg')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DDU_SAMPLE', str(sample_root))
        cfg = shrink(Config.fromfile(CONFIGS / 'ddu' / f'ddu_{DEMO}'))
    cfg.custom_hooks = []
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('gda_head')
    cfg.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    torch.manual_seed(1)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    weights = folder / 'weights.pth'
    torch.save(model.state_dict(), weights)
    cfg.dump(folder / 'config.py')
    return folder / 'config.py', fit_gda(cfg, weights)


@pytest.fixture(scope='session')
def tiny(sample_root, tmp_path_factory) -> tuple[Path, Path]:
    """Arguments of export(): config and checkpoint."""
    return make_tiny(tmp_path_factory.mktemp('tiny'), sample_root)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six images and a damaged one, in two folders."""
    folder = tmp_path / 'photos'
    (folder / 'below').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(6):
        pixels = rng.integers(0, 255, (20 + index, 24, 3), np.uint8)
        path = folder / ('below' if index % 2 else '') / f'{index}.png'
        Image.fromarray(pixels).save(path)
    (folder / '3.jpg').write_bytes(b'no image')
    return folder
