"""Truth from folders and from configs; the error map."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg_ddu.apis.html_report.truth import (
    OOD,
    VOID,
    error_map,
    error_share,
    truth_from_config,
    truth_from_masks,
    warn_unless_they_fit,
)


def test_masks_are_found_by_name(tmp_path):
    labels = np.array([[0, 1], [255, 2]], np.uint8)
    Image.fromarray(labels).save(tmp_path / 'one.png')
    read = truth_from_masks(tmp_path)
    assert (read(Path('elsewhere/one.jpg')) == labels).all()
    assert read(Path('two.jpg')) is None


COLOURS = r'one\.png has 3 values a pixel, .* write class numbers into it'


def test_masks_of_colours_and_no_folder_are_refused(tmp_path):
    Image.new('RGB', (4, 4)).save(tmp_path / 'one.png')
    with pytest.raises(ValueError, match=COLOURS):
        truth_from_masks(tmp_path)(Path('one.jpg'))
    with pytest.raises(FileNotFoundError, match='no folder of masks'):
        truth_from_masks(tmp_path / 'absent')


def test_masks_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / 'one.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'mask .*one\.png cannot be read'):
        truth_from_masks(tmp_path)(Path('one.jpg'))


@pytest.mark.parametrize(
    ('shape', 'value', 'warning'),
    [
        ((30, 40), 2, ''),
        ((15, 20), OOD, ''),
        ((61, 81), VOID, ''),  # twice the size, rounded
        ((30, 30), 2, r'are \(30, 30\), of other proportions'),
        ((30, 40), 3, 'have a class 3, but there are 3 classes'),
    ],
)
def test_labels_that_are_hardly_those_of_the_image(
    shape, value, warning, said
):
    labels = np.full(shape, value, np.uint8)
    warn_unless_they_fit(labels, (30, 40), 3, Path('one.jpg'))
    assert len(said) == bool(warning)
    assert not warning or re.search(warning, said[0])


def test_a_config_gives_its_test_masks(config, test_images):
    read = truth_from_config(config)
    assert read(Path('unknown.png')) is None
    strange = 0
    for image, mask in test_images.items():
        labels = read(Path(image))
        raw = np.asarray(Image.open(mask))
        known = labels < OOD
        assert (labels[known] == raw[known]).all() and known.any()
        strange += (labels == OOD).sum()
    assert strange > 0  # the sample's test images hold unknown objects


def test_a_config_whose_masks_hold_colours(config, tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        Image.new('RGB', (48, 48)).save(tmp_path / folder / 'one.png')
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        ann_file='',
        img_suffix='.png',
        seg_map_suffix='.png',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset = dataset
    cfg.dump(tmp_path / 'config.py')
    read = truth_from_config(tmp_path / 'config.py')
    with pytest.raises(ValueError, match=rf'masks/{COLOURS}'):
        read(Path('one.png'))


def test_errors_pixel_by_pixel():
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, OOD, VOID], (9, 7)).astype(np.uint8)
    predicted = rng.integers(0, 3, (9, 7), np.uint8)
    errors = error_map(truth, predicted)
    wrong = counted = 0
    for t, p, e in zip(truth.flat, predicted.flat, errors.flat):
        if t == VOID:
            assert e == 3
        elif t == OOD:
            assert e == 2
        else:
            assert e == int(t != p)
            wrong += t != p
            counted += 1
    assert error_share(errors) == pytest.approx(wrong / counted)
    assert error_share(np.full((2, 2), 3, np.uint8)) is None
