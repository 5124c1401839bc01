"""The command lines, as a person calls them."""

import json
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mmseg_ddu.apis import demo
from mmseg_ddu.datasets.sample import SampleRecipe, make_sample
from tests import warm_processes

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted((ROOT / 'tools').glob('*.py'))


def call(tool, *args, **env):
    script = ROOT / 'tools' / tool
    return warm_processes.call(warm_processes.run_script, script, *args, **env)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool in this process: exit code, stdout, stderr."""

    def run(tool, *args):
        path = str(ROOT / 'tools' / tool)
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        monkeypatch.setenv('LOCAL_RANK', '0')  # the tools leave it behind
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(path, run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return run


def test_help_in_a_new_interpreter():
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'fit_gda.py', '--help'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'example:' in done.stdout


@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.name)
def test_every_tool_teaches_and_is_short(tool, run):
    code, out, _ = run(tool.name, '--help')
    assert code == 0
    # To be pasted: each line is a command, or goes on with a backslash.
    example = out.partition('example:\n')[2].replace('\\\n', '')
    for line in example.splitlines() or ['none']:
        assert line.startswith(f'  python tools/{tool.name}')
    assert len(tool.read_text().splitlines()) <= 80


def test_there_are_tools():
    assert len(TOOLS) >= 6


def test_the_path_of_a_user(plain_cfg, checkpoint, tmp_path, run):
    """fit, test, export with a plain config and plain weights."""
    config = tmp_path / 'config.py'
    plain_cfg.dump(config)
    options = ('components=2', 'transform=raw', 'shrinkage=oas')
    done = call('fit_gda.py', config, checkpoint, '--gda-options', *options)
    assert done.returncode == 0, done.stderr
    fitted = tmp_path / 'weights_gda.pth'
    assert fitted.is_file()

    done = call('test.py', config, fitted, '--work-dir', tmp_path / 'work')
    assert done.returncode == 0, done.stderr
    assert 'mIoU' in done.stdout and 'epistemic' in done.stdout
    (results,) = (tmp_path / 'work').rglob('results.json')
    metrics = json.loads(results.read_text())['metrics']
    assert {
        'mIoU',
        'uncertainty/epistemic_mis_AUROC',
        'uncertainty/epistemic_mis_E-AURC',
        'calibration/ECE',
        'pavpu/epistemic_PAvPU',
    } <= set(metrics)

    folder = tmp_path / 'photos'
    folder.mkdir()
    Image.new('RGB', (30, 20)).save(folder / 'a.png')
    export = ('export_uncertainty.py', config, fitted, folder, '--out-dir')
    code, _, err = run(*export, tmp_path / 'maps')
    assert code == 0, err
    (folder / 'b.jpg').write_bytes(b'damaged')
    code, out, _ = run(*export, tmp_path / 'more')
    assert code == 1
    assert '1 skipped' in out


def is_one_line(code, err):
    assert code == 2, err
    assert err.strip().splitlines()[-1].startswith('error: ')
    assert 'Traceback' not in err


def test_an_error_in_a_process_of_its_own(tmp_path):
    done = call('train.py', tmp_path / 'absent.py')
    is_one_line(done.returncode, done.stderr)


def test_errors_are_one_line_with_exit_code_2(
    plain_cfg, checkpoint, tmp_path, run
):
    config, absent = tmp_path / 'config.py', tmp_path / 'absent'
    plain_cfg.dump(config)
    work, maps = tmp_path / 'work', tmp_path / 'maps'
    for tool, *args in [
        ('test.py', config, checkpoint, '--work-dir', work),
        ('fit_gda.py', config, absent),
        ('train.py', absent),
        (
            'export_uncertainty.py',
            config,
            checkpoint,
            absent,
            '--out-dir',
            maps,
        ),
    ]:
        code, _, err = run(tool, *args)
        is_one_line(code, err)


def test_train_flags(demo_cfg, tmp_path):
    config = tmp_path / 'config.py'
    demo_cfg.dump(config)
    work = tmp_path / 'work'
    options = [
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'default_hooks.checkpoint.interval=2',
    ]
    done = call(
        'train.py',
        config,
        '--work-dir',
        work,
        '--launcher',
        'none',
        '--cfg-options',
        *options,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work / 'iter_2_gda.pth').is_file()
    options[0] = 'train_cfg.max_iters=3'
    done = call(
        'train.py',
        config,
        '--work-dir',
        work,
        '--resume',
        '--cfg-options',
        *options,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'resumed epoch: 0, iter: 2' in done.stdout
    done = call(
        'train.py',
        config,
        '--work-dir',
        work,
        '--amp',
        '--cfg-options',
        'optim_wrapper.type=Apex',
    )
    assert done.returncode == 2 and 'OptimWrapper' in done.stderr


def test_classes_of_the_test_data_must_match(plain_cfg, checkpoint, tmp_path):
    from mmseg_ddu.apis import fit_gda
    from mmseg_ddu.apis import test as run_test

    fitted = fit_gda(plain_cfg.copy(), checkpoint)
    names = ('grass', 'brick', 'water', 'sand', 'left', 'right')
    plain_cfg.test_dataloader.dataset.metainfo.classes = names
    with pytest.raises(ValueError, match='trained on the classes'):
        run_test(plain_cfg, fitted, work_dir=tmp_path / 'work')


def few_images(script, *args):
    recipe = SampleRecipe(train=24, val=4, test=demo.EXPORTED, size=48)
    demo.make_sample = partial(make_sample, recipe=recipe)
    warm_processes.run_script(script, *args)


@pytest.mark.slow
def test_demo(tmp_path):
    """From nothing to the table, with little data and little training."""
    script = ROOT / 'tools' / 'demo.py'
    options = ('--work-dir', tmp_path / 'demo', '--max-iters', 4)
    sample = str(tmp_path / 'sample')
    done = warm_processes.call(few_images, script, *options, DDU_SAMPLE=sample)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / 'demo' / 'demo.json').read_text())
    assert {row['method'] for row in rows} == {'DDU', 'MC dropout x10'}
    assert all(0 <= row['ood_AUROC'] <= 100 for row in rows)
    overlays = list((tmp_path / 'demo/maps/overlay').glob('*.png'))
    assert len(overlays) == demo.EXPORTED
