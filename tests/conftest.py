"""Fixtures: a tiny network, the drawn sample, and both mm stacks."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

from mmseg_ddu.mmcv_without_ops import allow_missing_mmcv_ops

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs'
DEMO = 'deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'


allow_missing_mmcv_ops()  # mmseg 1.2.2 imports mmcv.ops

import torch  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from yapf.yapflib import yapf_api  # noqa: E402

from mmseg_ddu.datasets.sample import SampleRecipe, make_sample  # noqa: E402
from mmseg_ddu.registry import MODELS  # noqa: E402

# Threads do not help networks this small.
torch.set_num_threads(1)

SMALL = SampleRecipe(train=12, val=4, test=4, size=48)


@pytest.fixture(autouse=True)
def _scope_and_seed():
    init_default_scope('mmseg')
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='session')
def _what_was_imported_is_no_garbage():
    """mmengine looks for it whenever it builds a data set."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def _configs_are_not_laid_out():
    """A runner does it four times: most of the time of a short test.

    Those that mim and new interpreters run do it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', without_layout)
        yield


def without_layout(text: str, **_) -> tuple[str, bool]:
    """Instead of the ``FormatCode`` of yapf."""
    return text, True


@pytest.fixture
def said(monkeypatch):
    """What the logger warns of."""
    lines: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', lines.append)
    return lines


@pytest.fixture(autouse=True, scope='session')
def _ctrl_c():
    """As in a terminal; shells let their background jobs ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def sample_root(tmp_path_factory) -> Path:
    """The sample, small."""
    return make_sample(tmp_path_factory.mktemp('data') / 'sample', SMALL)


@pytest.fixture
def demo_cfg(sample_root, tmp_path, monkeypatch) -> Config:
    """The config of the embedded sample, on the small one."""
    monkeypatch.setenv('DDU_SAMPLE', str(sample_root))
    cfg = Config.fromfile(CONFIGS / 'ddu' / f'ddu_{DEMO}')
    cfg.work_dir = str(tmp_path / 'work')
    cfg.train_dataloader.batch_size = 4
    return shrink(cfg)


def shrink(cfg: Config) -> Config:
    """Four channels where the config has sixteen."""
    cfg.model.backbone.update(base_channels=4, stem_channels=4)
    cfg.model.decode_head.update(
        in_channels=32, channels=12, c1_in_channels=4, c1_channels=4
    )
    return cfg


@pytest.fixture
def plain_cfg(demo_cfg) -> Config:
    """A user's config: plain mmseg, nothing of ours."""
    cfg = demo_cfg
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('gda_head')
    cfg.custom_hooks = []
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    cfg.test_dataloader.dataset.pipeline = steps
    cfg.test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
    return cfg


@pytest.fixture
def checkpoint(plain_cfg, tmp_path, drawn_weights) -> Path:
    """Random weights of the plain model, as mmengine saves them."""
    model = plain_cfg.model
    name = str(model)
    if name not in drawn_weights:
        drawn_weights[name] = _random_weights(model), torch.get_rng_state()
    state_dict, random_state = drawn_weights[name]
    torch.set_rng_state(random_state)
    path = tmp_path / 'weights.pth'
    classes = list(plain_cfg.metainfo.classes)
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(meta=meta, state_dict=state_dict), path)
    return path


@pytest.fixture(scope='session')
def drawn_weights() -> dict:
    """Of each model that was asked for, so that each is built once."""
    return {}


def _random_weights(model: ConfigDict) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = MODELS.build(model)
    for module in model.modules():  # so that features differ by class
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model.state_dict()


@pytest.fixture
def voc_animals() -> Path:
    """The real images, where they are."""
    root = Path(os.environ.get('VOC_ANIMALS') or 'absent')
    if (root / 'JPEGImages').is_dir():
        return root
    pytest.skip('VOC_ANIMALS does not point to the images')


@pytest.fixture
def voc5_weights(voc_animals) -> Path:
    """A foreign checkpoint trained on them, in a folder beside."""
    path = voc_animals.parent / 'weights' / 'deeplabv3plus_mnv2_voc5.pth'
    if not path.is_file():
        pytest.skip(f'{path} is not there')
    return path
