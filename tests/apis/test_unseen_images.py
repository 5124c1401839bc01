"""Images that were trained on, and labels that do not fit."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import fit_abstention, fit_gda, unseen_images


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    return fit_gda(plain_cfg, checkpoint, save_every=None)


def test_images_of_training_promise_nothing(plain_cfg, fitted, tmp_path):
    """Under whatever name."""
    train = plain_cfg.train_dataloader.dataset
    link, relative = tmp_path / 'link', os.path.relpath(train.data_root)
    link.symlink_to(train.data_root)
    for root in (train.data_root, str(link), relative):
        plain_cfg.val_dataloader.dataset = dict(train, data_root=root)
        with pytest.raises(ValueError, match='12 of the 12 val images were'):
            fit_abstention(plain_cfg, fitted, 0.5)


def test_training_images_that_are_not_known(plain_cfg, said):
    names = unseen_images.image_names(
        unseen_images.DATASETS.build(plain_cfg.val_dataloader.dataset)
    )
    assert unseen_images.trained_on(plain_cfg, names) == [] == said
    absent = dict(plain_cfg.train_dataloader.dataset, data_root='absent')
    for loader, words in [
        (None, 'no train_dataloader'),
        (dict(dataset=absent), 'absent'),
    ]:
        cfg = dict(train_dataloader=loader)
        assert unseen_images.trained_on(cfg, names) == []
        assert words in said[-1] and 'could not be checked' in said[-1]
    assert len(said) == 2
    unseen_images.trained_on(plain_cfg, [])
    assert 'does not say where its images are' in said[-1]


@pytest.fixture
def mine(plain_cfg, tmp_path):
    """A copy of the validation images, to be changed."""
    dataset = plain_cfg.val_dataloader.dataset
    root = shutil.copytree(dataset.data_root, tmp_path / 'mine')
    dataset.data_root = str(root)
    return root


@pytest.mark.parametrize(
    'name, words',
    [
        ('JPEGImages/val_0001.jpg', r'val_0001\.jpg: the image cannot'),
        (
            'SegmentationClass/val_0001.png',
            r'val_0001\.jpg: its labels \S+val_0001\.png cannot',
        ),
    ],
)
def test_a_damaged_file_is_named(plain_cfg, fitted, mine, name, words):
    content = (mine / name).read_bytes()
    (mine / name).write_bytes(content[: len(content) // 9])
    with pytest.raises(ValueError, match=f'{words} be read .*; replace'):
        fit_abstention(plain_cfg, fitted, 0.5)


def test_labels_that_are_no_class(plain_cfg, fitted, mine):
    path = mine / 'SegmentationClass' / 'val_0001.png'
    with Image.open(path) as mask:
        labels = np.array(mask)
    labels[5, 7] = 77
    Image.fromarray(labels).save(path)
    message = r'val_0001\.jpg: label 77, but there are 6 classes'
    with pytest.raises(ValueError, match=message):
        fit_abstention(plain_cfg, fitted, 0.5)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_labels_that_are_colours(plain_cfg, fitted, mine, mode):
    path = mine / 'SegmentationClass' / 'val_0001.png'
    with Image.open(path) as mask:
        mask.convert(mode).save(path)
    message = (
        rf'val_0001\.jpg: .*Class/val_0001\.png has {len(mode)} values a '
        'pixel, as colours have.* write class numbers into it'
    )
    with pytest.raises(ValueError, match=message):
        fit_abstention(plain_cfg, fitted, 0.5)


def test_labels_of_another_size(plain_cfg, fitted, mine):
    for mask in (mine / 'SegmentationClass').glob('val_*.png'):
        with Image.open(mask) as labels:
            labels.crop((0, 0, labels.width, labels.height - 1)).save(mask)
    message = r'val_\w+\.jpg: the labels are \(47, 48\) and .* LoadAnnotations'
    with pytest.raises(ValueError, match=message):
        fit_abstention(plain_cfg, fitted, 0.5)
