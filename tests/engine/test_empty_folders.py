"""A data set without images is an error that names folder and suffix."""

import pytest

from mmseg_ddu.apis import fit_gda, test, train
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.registry import DATASETS

test.__test__ = False  # pytest would take it for a test


@pytest.fixture(params=['empty', 'other files', 'missing'])
def nothing(request, tmp_path):
    """A folder without images."""
    folder = tmp_path / 'pictures'
    if request.param != 'missing':
        folder.mkdir()
    if request.param == 'other files':
        (folder / 'notes.txt').write_text('none')
    return folder


def without_images(cfg, name, folder):
    dataset = cfg[f'{name}_dataloader'].dataset
    dataset.data_prefix = dict(img_path=str(folder), seg_map_path=str(folder))
    dataset.ann_file = ''
    return cfg


def test_fit(plain_cfg, checkpoint, nothing):
    cfg = without_images(plain_cfg, 'train', nothing)
    with pytest.raises(ValueError, match=r"pictures.* ends with '\.jpg'"):
        fit_gda(cfg, checkpoint)


def test_train(plain_cfg, nothing, tmp_path):
    cfg = without_images(plain_cfg, 'train', nothing)
    with pytest.raises(ValueError, match=r"pictures.* ends with '\.jpg'"):
        train(cfg, work_dir=tmp_path)


@pytest.mark.parametrize('kind', ['BaseSegDataset', 'PascalVOCDataset'])
@pytest.mark.parametrize('absent', ['ann_file', 'img_path'])
def test_files_that_a_data_set_asserts(kind, absent, tmp_path):
    """mmseg's own classes do, some of them without a message."""
    (tmp_path / 'there').mkdir()
    (tmp_path / 'names.txt').touch()
    config = dict(
        type=kind,
        data_root=str(tmp_path),
        data_prefix=dict(img_path='there', seg_map_path='there'),
        ann_file='names.txt',
    )
    if absent == 'ann_file':
        config['ann_file'] = 'gone'
    else:
        config['data_prefix']['img_path'] = 'gone'
    with (
        pytest.raises(ValueError, match=f'(no|in) {tmp_path}/gone') as raised,
        naming_empty_folders(config),
    ):
        DATASETS.build(config)
    assert 'in the config' in str(raised.value)


def test_other_errors_stay_what_they_are(plain_cfg):
    with (
        pytest.raises(ValueError, match='^another$'),
        naming_empty_folders(plain_cfg.train_dataloader.dataset),
    ):
        raise ValueError('another')
