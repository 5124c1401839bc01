"""A config with held-out objects, and checkpoints for every method."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ddu.apis import compare
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
    for name, shrinkage in (('little', 0.05), ('much', 0.5)):
        paths[name] = fit_gda(
            cfg,
            paths['a'],
            folder / f'a_{name}.pth',
            gda_head=dict(shrinkage=shrinkage, reg_covar=1e-3),
        )
    return paths


@pytest.fixture(scope='session')
def names(files):
    """``NAME=CHECKPOINTS`` of every kind of method."""
    a, b, c = (files[name] for name in 'abc')
    return [
        f'entropy={a}',
        f'max_logit={files["little"]}',
        f'ddu={files["little"]}',
        f'ddu-much={files["much"]}',
        f'mc_dropout2={a}',
        f'mc_dropout3={a}',
        f'ensemble={a},{b},{c}',
    ]


SETTING = dict(
    shifts=['noise', 'upside_down'],
    shift_images=2,
    stride=2,
    patch=3,
    timing_images=1,
    device='cpu',
    pictures=False,
)
MEASURED = ('ms', 'peak_mib')
# Sums of floats; all else are counts, or follow from them.
SUMS = ('ece', 'aece', 'nll', 'brier')


def figures(content):
    """Row to everything but time and memory."""
    return {
        row: {k: v for k, v in entry.items() if k not in MEASURED}
        for row, entry in content['methods'].items()
    }


def assert_same_figures(got, expected, names=None):
    """Counts exactly, sums up to the order of adding them.

    ``names`` says which methods were measured, if not all.
    """
    got, expected = copy.deepcopy((figures(got), figures(expected)))
    if names is not None:
        methods = [name.partition('=')[0] for name in names]
        expected = {
            row: entry
            for row, entry in expected.items()
            if entry['method'] in methods
        }
    assert list(got) == list(expected)
    for row, entry in got.items():
        wanted = expected[row]
        bins = entry['curves'].pop('reliability')
        pairs = [(entry.pop(key), wanted.pop(key)) for key in SUMS]
        for key, values in wanted['curves'].pop('reliability').items():
            pairs.append((bins[key], values))
        for pair in pairs:
            np.testing.assert_allclose(
                *(np.array(value, float) for value in pair), rtol=1e-5
            )
        assert entry == wanted


@pytest.fixture(scope='session')
def few(names):
    """Two groups: one pass with a density, and dropout."""
    density = names[2].partition('=')[2]
    return [f'entropy={density}', names[2], names[4]]


@pytest.fixture(scope='session')
def alone(few, sample_cfg, tmp_path_factory):
    """Results of one process that nothing stopped."""
    return compare(sample_cfg, few, tmp_path_factory.mktemp('a'), **SETTING)
