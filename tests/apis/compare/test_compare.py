"""The whole comparison on the sample, against scikit-learn."""

import csv
import json
import runpy
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    roc_auc_score,
)

from mmseg_ddu.apis import aggregate, compare, init_ddu
from mmseg_ddu.apis.compare import method_runs
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.registry import DATASETS
from tests.conftest import ROOT

STRIDE = 2
SETTING = dict(
    shifts=['noise', 'upside_down'],
    shift_images=2,
    stride=STRIDE,
    patch=3,
    timing_images=1,
    device='cpu',
)
PICTURES = (
    'trio',
    'trio_void_wrong',
    'trio_pixels',
    'risk_coverage',
    'reliability',
    'histograms',
)


@pytest.fixture(scope='session')
def done(names, sample_cfg, tmp_path_factory):
    """Results, their folder, and the methods: measured once."""
    out = tmp_path_factory.mktemp('compared')
    methods = [*names, f'energy={out / "absent.pth"}']
    methods.append(f'ddu-unfitted={names[0].partition("=")[2]}')
    content = compare(sample_cfg, methods, out, **SETTING)
    return content, out, methods


def pixels(cfg, checkpoint):
    """Scores, predictions and labels of all pixels, by a plain loop."""
    model = init_ddu(cfg, checkpoint, 'cpu')
    rows = []
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for item in dataset:
        with torch.no_grad():
            (sample,) = model.test_step(as_batch(item))
        maps = (
            sample.pred_epistemic.data,
            sample.pred_aleatoric.data,
            sample.pred_sem_seg.data,
            sample.gt_sem_seg.data,
            sample.gt_ood_map.data,
        )
        thin = [m[0, ::STRIDE, ::STRIDE].flatten().double() for m in maps]
        rows.append(torch.stack(thin).numpy())
    return np.concatenate(rows, 1)


def test_figures_against_scikit_learn(done, demo_cfg, files):
    content, _, _ = done
    epistemic, entropy, predicted, labels, ood = pixels(
        demo_cfg, files['little']
    )
    known = (labels != 255) & (ood == 0)
    wrong = predicted != labels
    table = confusion_matrix(labels[known], predicted[known])
    union = table.sum(0) + table.sum(1) - np.diag(table)
    iou = np.diag(table)[union > 0] / union[union > 0]
    counted = known | (ood == 1)
    for row, score in (('ddu-epistemic', epistemic), ('entropy', entropy)):
        entry = content['methods'][row]
        expected = dict(
            miou=iou.mean(),
            mis_auroc=roc_auc_score(wrong[known], score[known]),
            held_out_auroc=roc_auc_score(ood[counted], score[counted]),
            held_out_aupr=average_precision_score(
                ood[counted], score[counted]
            ),
        )
        for key, value in expected.items():
            assert entry[key] == pytest.approx(value, abs=1e-3), (row, key)
        assert entry['pixels']['in_distribution'] == known.sum()
        assert entry['pixels']['held_out'] == (ood == 1).sum()


def test_every_row_has_the_same_columns(done):
    content, out, _ = done
    methods = content['methods']
    sampled = ('mc_dropout2', 'mc_dropout3', 'ensemble')
    rows = ['entropy', 'max_logit', 'ddu-epistemic', 'ddu-total']
    rows += ['constant-per-image', 'ddu-much-epistemic', 'ddu-much-total']
    rows += [f'{name}-{score}' for name in sampled for score in ('mi', 'pe')]
    unfitted = ['ddu-unfitted-epistemic', 'ddu-unfitted-total']
    assert list(methods) == [*rows, 'energy', *unfitted]
    assert content['complete'] and content['default'] == 'ddu-total'
    keys = set(methods['entropy'])
    numbers = methods['entropy']['pixels']
    for row in rows:
        entry = methods[row]
        assert set(entry) == keys
        assert entry['pixels'] == numbers
        suite = entry['shifts']
        assert list(suite) == ['held_out', 'noise', 'upside_down']
        values = list(suite.values())
        assert entry['mean'] == pytest.approx(np.mean(values), abs=1e-5)
        assert entry['worst'] == min(values)
        assert entry['ms'] > 0 and entry['parameters'] > 0
    passes = [methods[row]['passes'] for row in rows]
    assert passes == [1] * 7 + [2, 2, 3, 3, 3, 3]
    single = methods['entropy']['parameters']
    assert methods['ensemble-mi']['parameters'] == 3 * single
    assert methods['ddu-total']['parameters'] > single
    constant = methods['constant-per-image']
    assert constant['score'] == 'image_novelty'
    assert numbers['noise'] == 2 * (48 // STRIDE) ** 2
    assert methods['energy']['error'].startswith('FileNotFoundError')
    assert methods['ddu-unfitted-total']['error'].startswith('NotFittedError')


def test_files(done):
    content, out, _ = done
    text = (out / 'results.json').read_text()
    assert json.loads(text, parse_constant=pytest.fail) == content
    table = list(csv.DictReader((out / 'table.csv').open()))
    assert [line['method'] for line in table] == list(content['methods'])
    first = content['methods']['entropy']
    assert float(table[0]['shifts.noise']) == first['shifts']['noise']
    markdown = (out / 'table.md').read_text().splitlines()
    widths = {line.count('|') for line in markdown if line.startswith('|')}
    assert len(widths) == 1
    assert any('energy failed' in line for line in markdown)
    for name in PICTURES:
        with Image.open(out / f'{name}.png') as picture:
            assert np.asarray(picture.convert('L')).std() > 5
        assert (out / f'{name}.pdf').read_bytes().startswith(b'%PDF')
    curves = first['curves']
    for name in PICTURES[:3]:
        assert len(curves[name]['pavpu']) == 100
    assert not list(out.glob('.tmp*'))


def test_goes_on_where_it_was(done, demo_cfg, files, tmp_path):
    content, out, methods = done
    shutil.copy(out / 'results.json', tmp_path)
    methods = [m for m in methods if not m.startswith('energy=')]
    methods.append(f'energy={files["b"]}')
    setting = dict(SETTING, pictures=False)
    again = compare(demo_cfg, methods, tmp_path, **setting)
    for row, entry in content['methods'].items():
        if 'error' not in entry:
            assert again['methods'][row] == entry  # the times too
    assert 'error' not in again['methods']['energy']
    assert not (tmp_path / 'trio.png').exists()
    setting['stride'] = 3
    with pytest.raises(FileExistsError, match='--overwrite'):
        compare(demo_cfg, methods[:1], tmp_path, **setting)
    methods = ['entropy=absent.pth']
    new = compare(demo_cfg, methods, tmp_path, overwrite=True, **setting)
    assert list(new['methods']) == ['entropy']


def test_ctrl_c_loses_nothing_finished(names, demo_cfg, tmp_path, monkeypatch):
    original, calls = method_runs.Measurement.run, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(method_runs.Measurement, 'run', interrupted)
    setting = dict(SETTING, pictures=False)
    with pytest.raises(KeyboardInterrupt):
        compare(demo_cfg, [names[0], names[4]], tmp_path, **setting)
    content = json.loads((tmp_path / 'results.json').read_text())
    assert list(content['methods']) == ['entropy']
    assert not content['complete']
    assert '| entropy |' in (tmp_path / 'table.md').read_text()


def test_aggregate_against_numpy(done, tmp_path, monkeypatch, capsys):
    content, out, _ = done
    rng = np.random.default_rng(0)
    runs = [out, tmp_path / 'second', tmp_path / 'third']
    values = [content['methods']['entropy']['mis_auroc'], *rng.random(2)]
    noise = [content['methods']['entropy']['shifts']['noise'], *rng.random(2)]
    for folder, value, shift in zip(runs[1:], values[1:], noise[1:]):
        folder.mkdir()
        copy = json.loads(json.dumps(content))
        copy['methods']['entropy']['mis_auroc'] = value
        copy['methods']['entropy']['shifts']['noise'] = shift
        copy['methods']['entropy']['network_seed'] = 7
        del copy['methods']['ensemble-mi']
        (folder / 'results.json').write_text(json.dumps(copy))
    file = tmp_path / 'new' / 'quality.json'
    command = ['--aggregate', *map(str, runs), '--quality-json', str(file)]
    monkeypatch.setattr(sys, 'argv', ['compare_uncertainty.py', *command])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(
            str(ROOT / 'tools' / 'compare_uncertainty.py'),
            run_name='__main__',
        )
    assert end.value.code == 0, capsys.readouterr()
    quality = json.loads(file.read_text())
    assert quality['seeds'] == [10, 7, 7]
    assert quality['default'] == 'ddu-total'
    entry = quality['methods']['entropy']
    assert entry['mis_auroc'] == pytest.approx(np.mean(values))
    assert entry['mis_auroc_std'] == pytest.approx(np.std(values, ddof=1))
    assert entry['shifts']['noise'] == pytest.approx(np.mean(noise))
    spread = entry['shifts_std']['noise']
    assert spread == pytest.approx(np.std(noise, ddof=1))
    assert entry['runs'] == 3
    assert quality['methods']['ensemble-mi']['runs'] == 1
    assert quality['methods']['ensemble-mi']['miou_std'] is None
    assert 'energy' not in quality['methods']

    copy['protocol']['stride'] = 9
    (runs[2] / 'results.json').write_text(json.dumps(copy))
    with pytest.raises(ValueError, match='stride 9 and 2'):
        aggregate(runs, file)
    with pytest.raises(FileNotFoundError, match='compare_uncertainty'):
        aggregate([tmp_path / 'none'], file)
    with pytest.raises(ValueError, match='not among'):
        aggregate([out], file, default='nobody')


def test_settings_that_make_no_sense(names, demo_cfg, tmp_path):
    for options, message in (
        (dict(stride=0), 'stride >= 1'),
        (dict(default='nobody'), 'default'),
        (dict(shifts=['fog']), 'Unknown shifts'),
    ):
        with pytest.raises(ValueError, match=message):
            compare(demo_cfg, names, tmp_path, **{**SETTING, **options})
