"""A config with held-out objects, and checkpoints for every method."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ddu.engine.checkpoint import save_checkpoint
from mmseg_ddu.engine.fit import fit_gda
from mmseg_ddu.models.convert import to_plain_model
from mmseg_ddu.registry import MODELS
from tests.conftest import CONFIGS, DEMO, shrink


@pytest.fixture(scope='session')
def sample_cfg(sample_root):
    """demo_cfg, once for all tests; not to be changed."""
    init_default_scope('mmseg')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DDU_SAMPLE', str(sample_root))
        return shrink(Config.fromfile(CONFIGS / 'ddu' / f'ddu_{DEMO}'))


@pytest.fixture(scope='session')
def files(sample_cfg, tmp_path_factory):
    """Name to path: three networks, and densities on the first."""
    cfg = sample_cfg
    folder = tmp_path_factory.mktemp('networks')
    paths = {}
    for seed, name in enumerate('abc'):
        torch.manual_seed(seed)
        model = MODELS.build(to_plain_model(cfg.model))
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        paths[name] = folder / f'{name}.pth'
        classes = list(cfg.metainfo.classes)
        meta = dict(dataset_meta=dict(classes=classes), seed=seed + 10)
        save_checkpoint(paths[name], model.state_dict(), meta)
    for views in ('ddu-paper', 'multi-scale'):
        paths[views] = fit_gda(
            cfg,
            paths['a'],
            folder / f'a_{views}.pth',
            gda_head=dict(views=views, reg_covar=1e-3),
        )
    return paths


@pytest.fixture(scope='session')
def names(files):
    """``NAME=CHECKPOINTS`` of every kind of method."""
    a, b, c = (files[name] for name in 'abc')
    return [
        f'entropy={a}',
        f'max_logit={files["ddu-paper"]}',
        f'ddu-paper={files["ddu-paper"]}',
        f'ddu-multi={files["multi-scale"]}',
        f'mc_dropout2={a}',
        f'mc_dropout3={a}',
        f'ensemble={a},{b},{c}',
    ]
