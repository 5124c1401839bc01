"""Held-out classes by their labels, for any data set."""

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.datasets import with_held_out
from mmseg_ddu.engine.fitting_data import fitting_pipeline
from mmseg_ddu.registry import DATASETS

ROW = [0, 3, 5, 7, 255]  # values in the mask file, one per column
LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='mmseg_ddu.PackDDUInputs')


def ood_step(**options):
    return dict(type='mmseg_ddu.LoadOoDAnnotations', **options)


@pytest.fixture
def data(tmp_path):
    """One image of a data set that is not known to mmseg: 8 classes."""
    for folder in ('img', 'ann'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (5, 2)).save(tmp_path / 'img' / 'a.jpg')
    values = np.array([ROW, ROW], np.uint8)
    Image.fromarray(values).save(tmp_path / 'ann' / 'a.png')
    return dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        metainfo=dict(classes=tuple('abcdefgh')),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
    )


def rows(config, *steps):
    """First row of the class mask and of the OoD mask, if there is one."""
    config = dict(config, pipeline=[LOAD, *steps, PACK])
    sample = DATASETS.build(config)[0]['data_samples']
    maps = [sample.gt_sem_seg]
    if 'gt_ood_map' in sample:
        maps.append(sample.gt_ood_map)
    return [value.data[0, 0].tolist() for value in maps]


def test_pixels_ignored_in_training(data):
    step = dict(type='mmseg_ddu.LoadKnownAnnotations', held_out_labels=(5, 3))
    assert rows(data, step) == [[0, 255, 255, 7, 255]]


def test_the_fit_ignores_them_too(data):
    step = dict(type='mmseg_ddu.LoadKnownAnnotations', held_out_labels=(5,))
    test = [LOAD, ood_step(), PACK]
    steps = fitting_pipeline(test, dict(data, pipeline=[LOAD, step, PACK]))
    sample = DATASETS.build(dict(data, pipeline=steps))[0]['data_samples']
    assert sample.gt_sem_seg.data[0, 0].tolist() == [0, 3, 255, 7, 255]
    assert 'gt_ood_map' not in sample


def test_marked_at_test(data):
    step = ood_step(held_out_labels=(5, 3))
    assert rows(data, step) == [[0, 255, 255, 7, 255], [0, 1, 1, 0, 255]]


def test_zero_label_reduced(data):
    """Labels to hold out are values in the file, whatever mmseg makes of
    them; here the zero is void."""
    data['reduce_zero_label'] = True
    known = dict(type='mmseg_ddu.LoadKnownAnnotations', held_out_labels=(5,))
    assert rows(data, known) == [[255, 2, 255, 6, 255]]
    step = ood_step(held_out_labels=(5,))
    assert rows(data, step) == [[255, 2, 255, 6, 255], [255, 0, 1, 0, 255]]


class TestClassSubset:
    """PascalVOC: 3 bird, 5 bottle, 7 car; bird alone is trained."""

    @pytest.fixture
    def voc(self, data):
        (seg, path) = ('ImageSets', data['data_root'])
        with open(f'{path}/{seg}.txt', 'w') as file:
            file.write('a')
        return dict(
            data,
            type='PascalVOCDataset',
            metainfo=dict(classes=('background', 'bird')),
            ann_file='ImageSets.txt',
        )

    def test_all_the_others(self, voc):
        both = [[0, 1, 255, 255, 255], [0, 0, 1, 1, 255]]
        assert rows(voc, ood_step()) == both

    def test_near_and_far_apart(self, voc):
        """What is out of distribution, but not asked for, is void."""
        voc['pipeline'] = [LOAD, ood_step(), PACK]
        for labels, expected in (
            ((5,), [0, 0, 1, 255, 255]),
            ((7,), [0, 0, 255, 1, 255]),
        ):
            for config in (voc, dict(type='RepeatDataset', dataset=voc)):
                if config is not voc:
                    config['times'] = 1
                config = with_held_out(config, labels)
                leaf = config.get('dataset', config)
                sample = DATASETS.build(config)[0]['data_samples']
                assert sample.gt_ood_map.data[0, 0].tolist() == expected
                label = sample.gt_sem_seg.data[0, 0].tolist()
                assert label == [0, 1, 255, 255, 255]
                assert leaf['pipeline'][1]['held_out_labels'] == labels
        assert 'held_out_labels' not in voc['pipeline'][1]

    def test_errors(self, voc):
        with pytest.raises(ValueError, match='one place only'):
            rows(voc, ood_step(ood_dir='x', held_out_labels=(5,)))
        with pytest.raises(ValueError, match='in the place of'):
            with_held_out(dict(voc, pipeline=[LOAD, PACK]), (5,))
