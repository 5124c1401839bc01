"""Every way in which a checkpoint gets into the program."""

import pytest
import torch
from mmengine.config import Config

from mmseg_ddu.apis import (
    DDUInferencer,
    compare,
    export,
    export_onnx,
    fit_abstention,
    fit_gda,
    init_ddu,
    train,
)
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.engine.build import build_ensemble, model_of_checkpoint
from mmseg_ddu.engine.fit_hook import FitGDAHook
from mmseg_ddu.engine.safe_load import trust_checkpoints
from mmseg_ddu.models.gda_head import FORMAT
from mmseg_ddu.registry import MODELS
from tests import hostile

from .test_tools import call

SHORT = {
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'default_hooks.checkpoint.interval': 2,
    'custom_hooks': [],
}
KINDS = ['state_dict', 'tar']  # of all those in test_safe_load.py


@pytest.fixture(autouse=True)
def _checkpoints_are_read_without_onnx(monkeypatch):
    requirement = 'mmseg_ddu.apis.onnx_export.require_onnx'
    monkeypatch.setattr(requirement, lambda: None)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'marker'


@pytest.fixture(params=KINDS)
def evil(request, tmp_path, marker):
    folder = tmp_path / 'files'
    folder.mkdir()
    return hostile.write_all(folder, marker)[request.param]


def hook(cfg, evil, tmp_path):
    class Runner:
        class message_hub:
            runtime_info = dict(last_ckpt=str(evil))

    Runner.cfg = cfg
    FitGDAHook().after_train(Runner())


ENTRIES = dict(
    fit_gda=lambda cfg, evil, out: fit_gda(cfg, evil),
    init_ddu=lambda cfg, evil, out: init_ddu(cfg, evil),
    inferencer=lambda cfg, evil, out: DDUInferencer(cfg, evil),
    test=lambda cfg, evil, out: run_test(cfg, evil, work_dir=out),
    fit_abstention=lambda cfg, evil, out: fit_abstention(cfg, evil, 0.5),
    export=lambda cfg, evil, out: export(cfg, evil, [evil], out / 'maps'),
    export_onnx=lambda cfg, evil, out: export_onnx(cfg, evil, out / 'a.onnx'),
    ensemble=lambda cfg, evil, out: build_ensemble(cfg.model, [evil, evil]),
    hook=hook,
)


@pytest.mark.parametrize('entry', ENTRIES)
def test_refused(entry, plain_cfg, evil, tmp_path, marker):
    with pytest.raises(ValueError, match='nothing of it was run'):
        ENTRIES[entry](plain_cfg, evil, tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize('evil', KINDS[:1], indirect=True)
def test_compare_goes_on_without_it(plain_cfg, evil, tmp_path, marker):
    methods = [f'entropy={evil}', f'mc_dropout2={evil}', f'ddu={evil}']
    methods.append(f'ensemble={evil},{evil}')
    content = compare(
        plain_cfg,
        methods,
        tmp_path / 'out',
        shifts=['none'],
        max_images=1,
        timing_images=0,
        pictures=False,
    )
    assert len(content['methods']) >= 4
    for entry in content['methods'].values():
        assert 'nothing of it was run' in entry['error']
    assert not marker.exists()


def pretrained(cfg, evil):
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(evil), prefix='backbone.'
    )


def old_pretrained(cfg, evil):
    cfg.model.backbone.init_cfg = None
    cfg.model.pretrained = str(evil)


def load_from(cfg, evil):
    cfg.load_from = str(evil)


def resume_from(cfg, evil):
    cfg.load_from, cfg.resume = str(evil), True


@pytest.mark.parametrize('evil', KINDS[:1], indirect=True)
@pytest.mark.parametrize(
    'put', [pretrained, old_pretrained, load_from, resume_from]
)
def test_training_refuses(put, plain_cfg, evil, tmp_path, marker):
    put(plain_cfg, evil)
    with pytest.raises(ValueError, match='nothing of it was run'):
        train(
            plain_cfg,
            work_dir=tmp_path / 'work',
            resume=bool(plain_cfg.get('resume')),
            cfg_options=SHORT,
        )
    assert not marker.exists()


def test_resume_does_not_run_the_config_in_the_file(
    plain_cfg, tmp_path, marker
):
    """mmengine does, if meta has one (written by hand: it never has)."""
    work = tmp_path / 'work'
    train(plain_cfg.copy(), work_dir=work, cfg_options=SHORT)
    code = f'open({str(marker)!r}, "w")\ngpu_ids = range(1)'
    path = work / 'evil.pth'
    content = torch.load(work / 'iter_2.pth', weights_only=False)
    content['meta'].update(config=code, cfg=code)
    content['message_hub']['runtime_info']['cfg'] = code
    torch.save(content, path)
    (work / 'last_checkpoint').write_text(str(path))
    options = {**SHORT, 'train_cfg.max_iters': 3}
    arguments = dict(work_dir=work, resume=True, cfg_options=options)
    assert train(plain_cfg.copy(), **arguments).iter == 3
    assert not marker.exists()
    (work / 'last_checkpoint').write_text(str(path))
    with trust_checkpoints(), pytest.warns(UserWarning, match='trusted'):
        train(plain_cfg, **arguments)
    assert marker.exists()


def test_configs_in_checkpoints_are_never_run(plain_cfg, checkpoint, marker):
    code = f'open({str(marker)!r}, "w")'
    content = torch.load(checkpoint)
    content['meta'].update(cfg=code, config=code)
    content['message_hub'] = dict(runtime_info=dict(cfg=code))
    torch.save(content, checkpoint)
    with pytest.raises(TypeError):
        DDUInferencer(None, checkpoint)
    with pytest.raises(FileNotFoundError):
        DDUInferencer('fcn_r50-d8_4xb2-40k_cityscapes', checkpoint)
    fit_gda(plain_cfg, checkpoint, gda_head=dict(preset='ddu-paper'))
    assert not marker.exists()


@pytest.fixture
def hub(tmp_path, marker):
    """A folder whose code torch.hub.load runs."""
    (tmp_path / 'hub').mkdir()
    (tmp_path / 'hub' / 'hubconf.py').write_text(
        f'open({str(marker)!r}, "w")\ndef model(**_): raise ValueError\n'
    )
    folder = str(tmp_path / 'hub')
    return dict(
        type='torch.hub.load',
        repo_or_dir=folder,
        model='model',
        source='local',
    )


def test_a_file_names_no_function(plain_cfg, checkpoint, hub, marker):
    """``type`` in a config can be any function of Python."""
    content = torch.load(checkpoint)
    content['meta']['gda'] = dict(head=hub, format=FORMAT)
    torch.save(content, checkpoint)
    for entry in ('init_ddu', 'test', 'inferencer', 'export_onnx'):
        with pytest.raises(ValueError, match='density head of type'):
            ENTRIES[entry](plain_cfg.copy(), checkpoint, checkpoint.parent)
    assert not marker.exists()
    with pytest.raises(ValueError):
        MODELS.build(dict(hub, num_classes=3))
    assert marker.exists()


def named(**head):
    return dict(head=head, format=FORMAT)


@pytest.mark.parametrize(
    'fit',
    [
        None,
        3,
        dict(),
        dict(head=3, format=FORMAT),
        named(type='EncoderDecoder'),
        named(init_cfg=dict(type='Pretrained', checkpoint='x')),
        named(preset='unknown'),
        named(transform=[dict(type='torch.hub.load')]),
        named(channels=10**9),
        named(rank=-1),
        named(components=10**9),
        named(views='multi-scale'),
        dict(named(), extra_heads=3),
        dict(named(), extra_heads=dict(a=dict(type='torch.hub.load'))),
        dict(named(), extra_heads={str(i): {} for i in range(99)}),
        dict(named(), head={3: 4}),
        dict(head={}),
        dict(head={}, format=0),
        dict(head={}, format='2'),
        dict(head={}, format=FORMAT - 1),
        dict(head={}, format=FORMAT + 1),
    ],
)
def test_descriptions_that_make_no_sense(fit, plain_cfg):
    with pytest.raises((ValueError, TypeError)):
        MODELS.build(model_of_checkpoint(plain_cfg.model, dict(gda=fit)))


def test_other_formats_say_what_to_do(plain_cfg):
    meta = dict(gda=dict(head={}, format=FORMAT - 1))
    with pytest.raises(ValueError, match='Fit again with tools/fit_gda.py'):
        model_of_checkpoint(plain_cfg.model, meta)


def test_weights_of_the_wrong_kind(plain_cfg, checkpoint):
    content = torch.load(checkpoint)
    key = 'decode_head.conv_seg.weight'
    content['state_dict'][key] = content['state_dict'][key].long()
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='of type torch.int64'):
        fit_gda(plain_cfg, checkpoint)


def test_the_command_line(plain_cfg, tmp_path, marker):
    """Refused with one line; --trust-checkpoint goes round it."""
    config, path = tmp_path / 'config.py', tmp_path / 'evil.pth'
    plain_cfg.dump(config)
    torch.save(hostile.in_place(hostile.shell(marker), 'meta', 'x'), path)
    done = call('fit_gda.py', config, path)
    assert done.returncode == 2 and 'error: ' in done.stderr, done.stderr
    assert '--trust-checkpoint' in done.stderr and not marker.exists()
    done = call('fit_gda.py', config, path, '--trust-checkpoint')
    assert done.returncode == 2 and 'is trusted' in done.stderr
    assert 'do not belong to this config' in done.stderr and marker.exists()
    assert Config.fromfile(config).model.type == 'EncoderDecoder'
