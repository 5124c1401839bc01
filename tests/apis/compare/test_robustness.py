"""What is broken does not change the figures of what is not."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import compare
from tests.processes import run_ranks

from .conftest import SETTING, assert_same_figures, figures

LISTS = 'ImageSets/Segmentation/test.txt'


def run(cfg, names, out, **options):
    return compare(cfg, names, out, **{**SETTING, **options})


@pytest.fixture
def copied(demo_cfg, sample_root, tmp_path):
    """A copy of the data to damage, and the config that reads it."""
    root = tmp_path / 'copy'
    shutil.copytree(sample_root, root)
    demo_cfg.test_dataloader.dataset.data_root = str(root)
    return root, demo_cfg


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_checkpoints(alone, few, files, sample_cfg, tmp_path):
    half, empty = tmp_path / 'half.pth', tmp_path / 'empty.pth'
    shutil.copy(files['little'], half)
    halve(half)
    empty.touch()
    content = torch.load(files['little'], weights_only=True)
    for key, value in content['state_dict'].items():
        if key.startswith('gda_head.') and value.is_floating_point():
            value.fill_(torch.nan)
    torch.save(content, tmp_path / 'nan.pth')
    broken = [
        f'ddu-half={half}',
        f'ddu-nan={tmp_path / "nan.pth"}',
        f'energy={empty}',
        f'ensemble={files["a"]},{half}',
    ]
    result = run(sample_cfg, [*broken, *few[:2]], tmp_path / 'out')
    errors = {
        row: result['methods'].pop(row)['error']
        for row in list(result['methods'])
        if 'error' in result['methods'][row]
    }
    assert list(errors) == [
        'ddu-half-epistemic',
        'ddu-half-total',
        'constant-per-image',
        'ddu-nan-epistemic',
        'ddu-nan-total',
        'energy',
        'ensemble-mi',
        'ensemble-pe',
    ]
    assert 'half.pth cannot be read' in errors['ddu-half-total']
    assert 'half.pth cannot be read' in errors['ensemble-mi']
    assert errors['ddu-nan-total'].startswith('ValueError')
    good = dict(alone, methods=dict(alone['methods']))
    del good['methods']['constant-per-image']  # of the first densities
    assert_same_figures(result, good, few[:2])
    table = (tmp_path / 'out' / 'table.md').read_text()
    assert all(f'- {row} failed: ' in table for row in errors)


def test_unreadable_images(copied, few, tmp_path):
    root, cfg = copied
    domain = tmp_path / 'domain'
    domain.mkdir()
    for i in (2, 3):
        shutil.copy(root / f'JPEGImages/test_000{i}.jpg', domain)
    options = dict(
        shifts=['none'], shift_images=None, domains=dict(street=str(domain))
    )
    listed = (root / LISTS).read_text().split()
    (root / LISTS).write_text('\n'.join(listed[1:3]))
    expected = run(cfg, few[:2], tmp_path / 'good', **options)

    (root / LISTS).write_text('\n'.join(listed))
    halve(root / f'JPEGImages/{listed[0]}.jpg')
    (root / f'SegmentationClass/{listed[3]}.png').unlink()
    (domain / 'a.png').write_text('no image')
    ruin = tmp_path / 'ruin'
    ruin.mkdir()
    (ruin / 'a.png').touch()
    options['domains'] = dict(street=str(domain), ruin=str(ruin))
    got = run(cfg, few[:2], tmp_path / 'bad', **options)
    two = run_ranks(2, lambda: run(cfg, few[:2], tmp_path / 'two', **options))
    assert_same_figures(two[0], got)
    for entry in got['methods'].values():
        left_out = entry.pop('unreadable')
        assert [(i['number'], i['pool']) for i in left_out] == [
            (0, 'plain'),
            (3, 'plain'),
            (4, 'street'),
            (7, 'ruin'),
        ]
        assert left_out[0]['error'].startswith('test_0000.jpg: OSError')
        assert entry['shifts'].pop('ruin') is None
        assert entry['pixels'].pop('ruin') == 0
    for entry in expected['methods'].values():
        assert entry.pop('unreadable') == []
    assert_same_figures(got, expected)
    table = (tmp_path / 'bad' / 'table.md').read_text()
    assert table.count('cannot be read and is left out') == 4


def test_no_readable_image(copied, few, tmp_path):
    root, cfg = copied
    for path in (root / 'JPEGImages').glob('test_*'):
        path.write_bytes(b'')
    cfg.held_out_labels = (13, 17)
    content = run(cfg, few[:2], tmp_path / 'out', shifts=['noise'])
    assert content['protocol']['near_labels'] == [13, 17]
    for entry in content['methods'].values():
        assert entry['error'].startswith('ValueError: None of the 4 test')
        assert 'test_0000.jpg' in entry['error']
    written = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert written['complete']


def test_a_class_without_pixels(copied, few, tmp_path):
    """No mask has brick; the network may still see one."""
    root, cfg = copied
    for path in (root / 'SegmentationClass').glob('test_*'):
        with Image.open(path) as file:
            mask = np.array(file)
        mask[mask == 1] = 255
        Image.fromarray(mask).save(path)
    content = run(cfg, few[:2], tmp_path / 'out')
    for entry in figures(content).values():
        assert 0 <= entry['miou'] <= 1 and entry['mis_auroc'] is not None
