"""The card of a tiny network, from beginning to end."""

import copy
import json
import math
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import check_model, fit_gda
from mmseg_ddu.apis.model_check import checking
from mmseg_ddu.apis.model_check.checking import strengths
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.datasets.image_shifts import FAINT, SHIFTS
from mmseg_ddu.models.map_names import MAPS


@pytest.fixture
def fitted(plain_cfg, checkpoint, tmp_path):
    return fit_gda(plain_cfg, checkpoint, tmp_path / 'fitted.pth')


@pytest.fixture
def few_changes(monkeypatch):
    """The first and the last of all changes of images."""
    first, *_, last = strengths().items()
    few = dict([first, last])
    monkeypatch.setattr(checking, 'strengths', lambda: few)


def check(cfg, fitted, out, **options):
    options = {'images': 3, 'shift_images': 2, **options}
    return check_model(cfg, fitted, out, device='cpu', **options)


def test_a_card(plain_cfg, fitted, tmp_path):
    card = check(plain_cfg, fitted, tmp_path / 'a')
    assert json.loads((tmp_path / 'a/card.json').read_text()) == card
    html = (tmp_path / 'a/card.html').read_text()
    assert '<svg' in html and 'src=' not in html and 'http' not in html
    assert list(card['shifts']['kinds']) == list(strengths())
    assert len(strengths()) == len(SHIFTS) + len(FAINT)
    assert set(card['pasted']['auroc']) == {*MAPS, 'energy', 'random'}
    assert all(sentence in _unescaped(html) for sentence in card['sentences'])
    for change in strengths():
        assert len([*(tmp_path / 'a/parts').glob(f'{change}_0*.npz')]) == 2


@pytest.mark.usefixtures('few_changes')
def test_the_same_card_after_a_stop(plain_cfg, fitted, tmp_path, monkeypatch):
    card = check(plain_cfg, fitted, tmp_path / 'a')

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checking, 'measure_pasted', stop)
        with pytest.raises(KeyboardInterrupt):
            check(plain_cfg, fitted, tmp_path / 'b')
    there = sorted((tmp_path / 'b/parts').glob('*.npz'))
    assert len(there) == 3 + 2 * 2
    times = [file.stat().st_mtime_ns for file in there]
    assert check(plain_cfg, fitted, tmp_path / 'b') == card
    assert [file.stat().st_mtime_ns for file in there] == times


@pytest.mark.parametrize('name', ['card.html', 'card.json'])
def test_a_folder_in_the_place_of_a_file(
    plain_cfg, fitted, tmp_path, monkeypatch, name
):
    """Which is said before anything is measured."""
    monkeypatch.setattr(checking, 'measure', None)
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match=f'{name}: it is a folder'):
        check(plain_cfg, fitted, tmp_path)
    with pytest.raises(OSError, match=r'Cannot write into .*fitted\.pth: '):
        check(plain_cfg, fitted, fitted)


@pytest.mark.usefixtures('few_changes')
def test_changed_files_are_measured_again(
    plain_cfg, fitted, tmp_path, sample_root, monkeypatch
):
    """As corrected labels are."""
    seen, measure = [], checking.measure_image

    def count(*args):
        seen.append(args)
        return measure(*args)

    monkeypatch.setattr(checking, 'measure_image', count)
    check(plain_cfg, fitted, tmp_path / 'a')
    every = len(seen)
    check(plain_cfg, fitted, tmp_path / 'a')
    assert len(seen) == every == 3 + 2 * 2
    for mask in sample_root.glob('SegmentationClass/*.png'):
        os.utime(mask)
    check(plain_cfg, fitted, tmp_path / 'a')
    assert len(seen) == 2 * every


def _unescaped(html):
    return html.replace('&#39;', "'").replace('&#34;', '"')


@pytest.mark.usefixtures('few_changes')
def test_another_check_is_not_mixed_in(plain_cfg, fitted, tmp_path):
    check(plain_cfg, fitted, tmp_path / 'a')
    with pytest.raises(ValueError, match='another --out'):
        check(plain_cfg, fitted, tmp_path / 'a', seed=1)


def test_what_cannot_be_checked(plain_cfg, checkpoint, fitted, tmp_path):
    with pytest.raises(NotFittedError, match='fit_gda'):
        check(plain_cfg, checkpoint, tmp_path / 'a')
    with pytest.raises(ValueError, match='two images'):
        check(plain_cfg, fitted, tmp_path / 'b', images=1)
    cfg = copy.deepcopy(plain_cfg)
    cfg.val_dataloader = None
    del cfg.test_dataloader.dataset.pipeline[1]
    with pytest.raises(ValueError, match=r'\.jpg: no labels; .*LoadAnnot'):
        check(cfg, fitted, tmp_path / 'c')


def _with_labels(cfg, change, folder):
    """Masks of the validation images, changed, in a folder of their own."""
    dataset = cfg.val_dataloader.dataset
    shutil.copytree(cfg.data_root, folder)
    for path in (folder / 'SegmentationClass').glob('*.png'):
        mask = change(np.array(Image.open(path)))
        Image.fromarray(mask).save(path)
    dataset.data_root = str(folder)


def test_labels_that_are_no_classes_are_named(plain_cfg, fitted, tmp_path):
    _with_labels(plain_cfg, lambda m: np.full_like(m, 200), tmp_path / 'd')
    with pytest.raises(ValueError, match=r'\.jpg: label 200, but there are'):
        check(plain_cfg, fitted, tmp_path / 'a')
    for path in (tmp_path / 'd' / 'SegmentationClass').glob('*.png'):
        path.write_bytes(b'damaged')
    with pytest.raises(ValueError, match=r'its labels .*\.png cannot be read'):
        check(plain_cfg, fitted, tmp_path / 'b')


def test_void_alone_is_an_error(plain_cfg, fitted, tmp_path):
    _with_labels(plain_cfg, lambda m: np.full_like(m, 255), tmp_path / 'd')
    with pytest.raises(ValueError, match='void'):
        check(plain_cfg, fitted, tmp_path / 'a')


@pytest.mark.usefixtures('few_changes')
def test_a_class_that_is_not_there_is_named(plain_cfg, fitted, tmp_path):
    def without(mask):
        return np.where(mask == 2, 255, mask).astype(np.uint8)

    _with_labels(plain_cfg, without, tmp_path / 'd')
    card = check(plain_cfg, fitted, tmp_path / 'a')
    name = plain_cfg.metainfo.classes[2]
    assert name in card['never_seen']
    assert any(
        line.startswith('Nothing here is about') and name in line
        for line in card['sentences']
    )
    assert card['fit']['classes'][name]['log_likelihood'] is None
    assert math.isfinite(card['errors']['ece']['value'])


@pytest.mark.usefixtures('few_changes')
def test_images_that_were_trained_on_are_named(plain_cfg, fitted, tmp_path):
    trained = plain_cfg.train_dataloader.dataset
    plain_cfg.val_dataloader.dataset.ann_file = trained.ann_file
    card = check(plain_cfg, fitted, tmp_path / 'a')
    assert card['trained_on'] == 3
    assert card['sentences'][0].startswith('Warning: 3 of these 3 images')


@pytest.mark.usefixtures('few_changes')
def test_the_error_rate_is_one_number(plain_cfg, fitted, tmp_path):
    card = check(plain_cfg, fitted, tmp_path / 'a')
    assert card['trained_on'] == 0
    rate = f'{card["errors"]["error"]:.1%}'
    assert f'error from {rate} to' in ' '.join(card['sentences'])
    assert f'{rate} of pixels wrong' in (tmp_path / 'a/card.html').read_text()
