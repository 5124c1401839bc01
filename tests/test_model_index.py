"""The model index is complete, and its figures are the measured ones."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / 'model-index.yml'
VOC = 'voc-animals5-192x192'
SAMPLE = 'sample-96x96'


def metafiles():
    paths = yaml.safe_load(INDEX.read_text())['Import']
    assert paths
    return [ROOT / path for path in paths]


def models():
    found = {}
    for path in metafiles():
        for model in yaml.safe_load(path.read_text())['Models']:
            assert model['Name'] not in found
            found[model['Name']] = model
    assert found
    return found


def metrics(suffix):
    """Metrics of the one model whose name ends so."""
    (model,) = [m for name, m in models().items() if name.endswith(suffix)]
    (result,) = model['Results']
    return result['Metrics']


def test_every_metafile_is_in_the_index():
    assert sorted(metafiles()) == sorted(ROOT.glob('configs/*/metafile.yml'))


def test_every_config_exists_and_is_named_like_its_model():
    for name, model in models().items():
        path = ROOT / model['Config']
        assert path.is_file() and path.stem == name
        iterations = model['Metadata']['Iterations']
        batch = model['Metadata']['Batch Size']
        assert f'_1xb{batch}-{iterations // 1000}k_' in name
        assert 'Weights' not in model  # none are published


def test_every_method_has_a_readme_that_names_its_collection():
    folders = [f for f in ROOT.glob('configs/*') if f.name != '_base_']
    assert len(folders) == 2
    for folder in folders:
        assert (folder / 'README.md').read_text().startswith('# ')
    for path in metafiles():
        content = yaml.safe_load(path.read_text())
        names = set()
        for collection in content['Collections']:
            assert (path.parent / collection['README']).is_file()
            names.add(collection['Name'])
        assert {m['In Collection'] for m in content['Models']} == names


def test_figures_of_the_sample_are_those_of_the_demo():
    rows = json.loads((ROOT / 'results' / 'demo.json').read_text())
    aleatoric, epistemic, total = rows[:3]
    assert list(metrics(SAMPLE).values()) == [
        round(value, 1)
        for value in (
            epistemic['mIoU'],
            epistemic['ood_AUROC'],
            epistemic['amb_AUROC'],
            aleatoric['amb_AUROC'],
            total['mis_AUROC'],
        )
    ]


QUESTIONS = ('errors', 'shifts_mean')


def test_figures_of_the_readme_are_the_measured_ones():
    """Its table of proof, cell by cell."""
    measured = json.loads((ROOT / 'results' / 'proof.json').read_text())
    voc, cgnet, upernet = (
        measured['networks'][name]['rows']
        for name in (
            'deeplabv3_mnv2_voc21',
            'cgnet_camvid11',
            'upernet_mnv2_camvid9',
        )
    )
    readme = (ROOT / 'README.md').read_text()
    for row in ('aleatoric', 'epistemic', 'total', 'energy'):
        cells = re.search(rf'\| {row}.*?\|(.+)\|', readme)[1].split('|')
        found = [float(c.strip(' *')) for c in cells if c.strip()]
        figures = (
            *(net[row][k] for net in (voc, cgnet) for k in QUESTIONS),
            upernet[row]['unknown']['car_sign'],
        )
        assert found == [round(figure, 3) for figure in figures], row


def test_readme_of_the_configs_says_the_same():
    readme = (ROOT / 'configs' / 'ddu' / 'README.md').read_text()
    for suffix in (VOC, SAMPLE):
        (line,) = [x for x in readme.splitlines() if f'{suffix}.py' in x]
        assert f'mIoU {metrics(suffix)["mIoU"]}' in line
    assert readme.count('not yet') == len(
        list((ROOT / 'configs' / 'ddu').glob('*voc12aug*.py'))
    )


def run_mim(*args, cwd):
    """Run ``mim``, or skip where it or an install of ours is absent."""
    pytest.importorskip('mim', reason='onedl-mim is not installed')
    try:
        metadata.distribution('mmseg_ddu')
    except metadata.PackageNotFoundError:
        pytest.skip('mmseg_ddu is not installed')
    command = [sys.executable, '-m', 'mim', *map(str, args)]
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mim_search_lists_the_models(tmp_path):
    out = run_mim('search', 'mmseg_ddu', '--valid-config', cwd=tmp_path)
    assert all(name in out for name in models())


@pytest.mark.slow
def test_mim_trains_and_tests(sample_root, tmp_path, monkeypatch):
    monkeypatch.setenv('DDU_SAMPLE', str(sample_root))
    (config,) = ROOT.glob(f'configs/ddu/*{SAMPLE}.py')
    options = (
        '--work-dir',
        'work',
        '--cfg-options',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'default_hooks.checkpoint.interval=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
    )
    run_mim('train', 'mmseg_ddu', config, '--gpus', 0, *options, cwd=tmp_path)
    fitted = tmp_path / 'work' / 'iter_2_gda.pth'
    assert fitted.is_file()
    out = run_mim(
        'test',
        'mmseg_ddu',
        config,
        '--checkpoint',
        fitted,
        *options,
        cwd=tmp_path,
    )
    assert 'mIoU' in out
