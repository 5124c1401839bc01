"""Every config is parsed, built, and run."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.structures import SegDataSample

from mmseg_ddu.registry import MODELS
from tests.models.test_segmentors import fit, metas, samples

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(
    path for path in ROOT.rglob('*.py') if '_base_' not in path.parts
)
CLASSES = {'voc12aug': 21, 'voc-animals5': 5, 'sample': 6}


def test_some_configs_were_found():
    names = [path.stem for path in CONFIGS]
    assert len(names) == 10
    for backbone in ('r50-d8', 'r101-d8', 'mobilenet-v2-d8'):
        for method in ('ddu', 'mcdropout'):
            assert any(
                name.startswith(f'{method}_deeplabv3plus_{backbone}')
                for name in names
            )


def test_no_inheritance_across_packages():
    for path in ROOT.rglob('*.py'):
        assert '::' not in path.read_text()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    cfg = Config.fromfile(path)
    data = path.stem.rsplit('_', 1)[1].rsplit('-', 1)[0]
    model = MODELS.build(cfg.model)
    assert model.num_classes == CLASSES[data]
    assert f'{cfg.train_cfg.max_iters // 1000}k' in path.stem
    hooks = [hook['type'] for hook in cfg.get('custom_hooks', [])]
    is_ddu = path.parent.name == 'ddu'
    assert ('mmseg_ddu.FitGDAHook' in hooks) == is_ddu
    model = revert_sync_batchnorm(model).eval()
    inputs = torch.randn(1, 3, 64, 64)
    if is_ddu:
        fit(model, images=1, size=64)
    with torch.no_grad():
        (sample,) = model.predict(inputs, samples(inputs))
    assert isinstance(sample, SegDataSample)
    for field in ('pred_epistemic', 'pred_aleatoric', 'pred_sem_seg'):
        assert getattr(sample, field).data.shape == (1, 64, 64), field
    assert torch.isfinite(sample.pred_epistemic.data).all()
    assert len(metas(inputs)) == 1


@pytest.mark.parametrize('name', ['ddu', 'mc_dropout'])
def test_twins_differ_in_the_method_alone(name):
    stems = {
        path.stem.split('_', 1)[1]
        for path in CONFIGS
        if path.parent.name == name
    }
    assert len(stems) == 5
    for stem in stems:
        first = Config.fromfile(ROOT / 'ddu' / f'ddu_{stem}.py')
        second = Config.fromfile(ROOT / 'mc_dropout' / f'mcdropout_{stem}.py')
        for key in ('train_dataloader', 'test_dataloader', 'optim_wrapper'):
            assert first[key] == second[key]
        assert first.model.decode_head == second.model.decode_head
