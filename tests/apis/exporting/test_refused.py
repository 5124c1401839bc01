"""Exports of a model that refuses pixels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import export, fit_gda
from mmseg_ddu.apis.html_report.truth import error_map
from mmseg_ddu.apis.monitoring.watched_images import read_stream
from mmseg_ddu.engine.checkpoint import read_checkpoint, save_checkpoint


@pytest.fixture
def refusing(plain_cfg, checkpoint):
    path = fit_gda(plain_cfg, checkpoint, save_every=None)
    content = read_checkpoint(path)
    content['state_dict']['abstention.thresholds'] = torch.ones(6)
    content['meta']['abstention'] = dict(error=0.1)
    save_checkpoint(path, **content)
    return path


@pytest.mark.parametrize('formats', [None, ['npy']])
def test_refused_pixels(plain_cfg, refusing, sample_root, tmp_path, formats):
    photos = sample_root / 'JPEGImages'
    images = sorted(photos.glob('val_*.jpg'))[:2]
    out = tmp_path / 'maps'
    args = plain_cfg, refusing, images, out
    manifest = export(*args, formats=formats, pictures=False)
    assert manifest['abstention'] == dict(error=0.1)
    for row in manifest['images']:
        classes = np.array(Image.open(out / row['files']['class']))
        mask = np.array(Image.open(out / row['files']['abstain']))
        refused = np.load(out / row['files']['total']) > 1
        assert 0 < refused.mean() < 1
        assert ((classes == 255) == refused).all()
        assert (mask == 255 * refused).all()
        assert row['refused_share'] == pytest.approx(refused.mean())
    (out / row['files']['abstain']).unlink()
    again = export(*args, formats=formats, pictures=False, resume=True)
    assert again['images'] == manifest['images']
    assert (out / row['files']['abstain']).is_file()
    assert json.loads((out / 'manifest.json').read_text()) == again


def test_thresholds_leave_exports_comparable(
    plain_cfg, checkpoint, refusing, sample_root, tmp_path
):
    """They change no score; the classes are counted as they are predicted."""
    image = next(sample_root.glob('JPEGImages/val_*.jpg'))
    content = read_checkpoint(refusing)
    del content['state_dict']['abstention.thresholds']
    del content['meta']['abstention']
    bare = tmp_path / 'bare.pth'
    save_checkpoint(bare, **content)
    rows = []
    for path in (bare, refusing):
        out = tmp_path / f'maps_of_{path.stem}'
        rows += export(plain_cfg, path, image, out, formats=['npy'])['images']
    before, after = rows
    assert after['refused_share'] > 0 and 'refused_share' not in before
    assert after['class_pixels'] == before['class_pixels']
    folders = [tmp_path / f'maps_of_{x.stem}' for x in (bare, refusing)]
    one, other = read_stream(folders).images
    assert one['values'] == other['values']


def test_void_is_grey_in_pictures(plain_cfg, refusing, sample_root, tmp_path):
    image = next(sample_root.glob('JPEGImages/val_*.jpg'))
    export(plain_cfg, refusing, image, tmp_path / 'maps', formats=['npy'])
    (path,) = tmp_path.glob('maps/class/*.png')
    colors = np.array(Image.open(path).convert('RGB'))
    refused = np.array(Image.open(path)) == 255
    assert (colors[refused] == (150, 150, 150)).all()


def test_refused_pixels_are_no_errors():
    truth = np.array([[0, 1, 2, 255]], np.uint8)
    predicted = np.array([[0, 255, 1, 255]], np.uint8)
    assert error_map(truth, predicted).tolist() == [[0, 3, 1, 3]]
