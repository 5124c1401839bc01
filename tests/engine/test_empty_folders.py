"""A data set without images is an error that names folder and suffix."""

import pytest

from mmseg_ddu.apis import fit_gda, test, train
from mmseg_ddu.engine.empty_folders import naming_empty_folders

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


def test_other_errors_stay_what_they_are(plain_cfg):
    with (
        pytest.raises(ValueError, match='^another$'),
        naming_empty_folders(plain_cfg.train_dataloader.dataset),
    ):
        raise ValueError('another')
