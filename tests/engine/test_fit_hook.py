"""Training through the Runner with the hook."""

import json
import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger

from mmseg_ddu.apis import fit_gda, train
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.engine import FitGDAHook
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.models.fitted_state import FIT_PREFIXES
from tests.processes import run_ranks

SHORT = {
    'train_cfg.max_iters': 4,
    'train_cfg.val_interval': 2,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.logger.interval': 1,
}


def fitted(path):
    return bool(read_checkpoint(path)['state_dict']['gda_head.fitted'])


@pytest.mark.parametrize('kind', ['ddu', 'plain'])
def test_hook_fits_last_and_best(kind, demo_cfg, request, tmp_path):
    """A config with a density head, and a plain one with the hook alone."""
    cfg = demo_cfg
    if kind == 'plain':
        cfg = request.getfixturevalue('plain_cfg')
        cfg.custom_hooks = [dict(type='mmseg_ddu.FitGDAHook')]
    work = tmp_path / 'work'
    train(cfg, work_dir=work, cfg_options=SHORT)
    assert fitted(work / 'iter_4_gda.pth')
    best = list(work.glob('best_mIoU_iter_?_gda.pth'))
    assert len(best) == 1
    assert not list(work.glob('*.unfinished'))
    plain = read_checkpoint(work / 'iter_4.pth')['state_dict']
    with_density = read_checkpoint(work / 'iter_4_gda.pth')['state_dict']
    for key, value in plain.items():
        if not key.startswith(FIT_PREFIXES):
            assert torch.equal(with_density[key], value)
    metrics = run_test(cfg, work / 'iter_4_gda.pth', work_dir=work)
    assert 'uncertainty/epistemic_mis_AUROC' in metrics


def test_resume_and_fit_options(demo_cfg, tmp_path):
    work = tmp_path / 'work'
    demo_cfg.custom_hooks = [
        dict(
            type='mmseg_ddu.FitGDAHook',
            gda_head=dict(transform='raw'),
            fit_best=False,
            pixels_per_class=7,
        )
    ]
    train(demo_cfg.copy(), work_dir=work, cfg_options=SHORT)
    runner = train(
        demo_cfg,
        work_dir=work,
        resume=True,
        cfg_options={**SHORT, 'train_cfg.max_iters': 6},
    )
    assert runner.iter == 6
    assert not list(work.glob('best*_gda.pth'))
    report = json.loads((work / 'iter_6_gda.json').read_text())
    assert report['head']['transform'] == 'raw'
    assert max(report['vectors_per_class']) <= 7 * 12


def test_no_checkpoint_is_a_warning(demo_cfg, tmp_path, caplog):
    options = {**SHORT, 'default_hooks.checkpoint.interval': 100}
    options['default_hooks.checkpoint.save_last'] = False
    options['default_hooks.checkpoint.save_best'] = None
    train(demo_cfg, work_dir=tmp_path / 'work', cfg_options=options)
    assert not list((tmp_path / 'work').glob('*_gda.pth'))


def test_same_weights_are_fitted_once(demo_cfg, tmp_path, monkeypatch):
    """One iteration: the last checkpoint is the best."""
    import mmseg_ddu.engine.fit_hook as hook

    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return fit_gda(*args, **kwargs)

    monkeypatch.setattr(hook, 'fit_gda', counted)
    options = {**SHORT, 'train_cfg.max_iters': 2}
    work = tmp_path / 'work'
    train(demo_cfg, work_dir=work, cfg_options=options)
    assert len(calls) == 1
    last = work / 'iter_2_gda.pth'
    best = work / 'best_mIoU_iter_2_gda.pth'
    assert last.read_bytes() == best.read_bytes()
    assert best.with_suffix('.json').is_file()


def test_processes_wait_for_the_checkpoint(plain_cfg, checkpoint, tmp_path):
    """The first has not written it yet when the second asks for it."""
    last = tmp_path / 'last.pth'

    def after_train():
        if is_main_process():
            time.sleep(0.5)
            shutil.copy(checkpoint, last)
        info = dict(last_ckpt=str(last))
        runner = SimpleNamespace(
            cfg=plain_cfg,
            logger=MMLogger.get_current_instance(),
            message_hub=SimpleNamespace(runtime_info=info),
        )
        FitGDAHook().after_train(runner)

    assert run_ranks(2, after_train) == [None, None]
    assert fitted(tmp_path / 'last_gda.pth')
