"""The labels of a fit are those that mmseg's training packs."""

import random

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.registry import MODELS

from .label_cases import (
    ANNOTATIONS,
    FORMATS,
    IMAGES,
    LABEL_STEPS,
    LOAD,
    PACK,
    SIZE,
    FourClasses,
    Renumber,
    augmented,
    combinations,
    config,
    data_set,
    fitted_labels,
    labels_of,
    renumber,
)
from .pixel_network import pixel_network


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """The same masks in each format, with the images."""
    rng = np.random.default_rng(0)
    roots = {}
    masks = rng.choice([0, 1, 2, 3, 255], (IMAGES, SIZE, SIZE))
    images = rng.integers(0, 255, (IMAGES, SIZE, SIZE, 3), np.uint8)
    for name in {name for name, _ in FORMATS.values()}:
        root = roots[name] = tmp_path_factory.mktemp('data')
        for folder in ('img', 'ann'):
            (root / folder).mkdir()
        for index, (image, mask) in enumerate(zip(images, masks)):
            Image.fromarray(image).save(root / 'img' / f'{index}.png')
            path = root / 'ann' / f'{index}.png'
            if name == '16 bits':
                cv2.imwrite(str(path), mask.astype(np.uint16))
            elif name == 'thousands':
                wide = np.where(mask == 255, 65535, mask * 1000)
                cv2.imwrite(str(path), wide.astype(np.uint16))
            else:
                saved = Image.fromarray(mask.astype(np.uint8))
                if name == 'palette':
                    saved.putpalette(rng.integers(0, 255, 768).tolist())
                saved.save(path)
    return roots


def wrap(name, root, loading, rest, options):
    """A training set; its last steps may stand in the wrapper."""
    inner = data_set(root, [*loading, *rest, PACK], **options)
    if name == 'repeated':
        return dict(type='RepeatDataset', times=3, dataset=inner)
    if name == 'concatenated':
        both = dict(type='ConcatDataset', datasets=[inner, inner])
        return dict(type='RepeatDataset', times=2, dataset=both)
    if name == 'none':
        return inner
    mosaic = dict(type='RandomMosaic', prob=1.0, img_scale=(SIZE, SIZE))
    if name == 'mosaic':
        inner['pipeline'] = [*loading, *rest]
        outer = [mosaic, PACK]
    else:
        inner['pipeline'] = loading
        outer = [mosaic, *rest, PACK]
    return dict(type='MultiImageMixDataset', dataset=inner, pipeline=outer)


def test_every_combination(folders):
    network = pixel_network(4)
    for number, case in enumerate(combinations()):
        source, steps, classes, reduce, ignored, wrapper, test = case
        rng = random.Random(number)
        form, loader = FORMATS[source]
        steps = LABEL_STEPS[steps]
        root = folders[form]
        options = dict(
            metainfo=dict(classes=classes), reduce_zero_label=reduce
        )
        training = [LOAD, loader, *steps, PACK]
        truth = labels_of(DATASETS.build(data_set(root, training, **options)))

        resize = dict(type='Resize', scale=(2 * SIZE, 2 * SIZE))
        tests = {
            'as training': training,
            'train only': [LOAD, loader, PACK],
            'twice as large': [LOAD, resize, ANNOTATIONS, PACK],
            'labels first': [LOAD, loader, *steps, resize, PACK],
        }
        wanted = truth
        if resize in tests[test]:
            wanted = [
                t.repeat_interleave(2, 0).repeat_interleave(2, 1)
                for t in truth
            ]
        dataset = wrap(
            wrapper, root, [LOAD, loader], augmented(steps, rng), options
        )
        got = fitting_dataset(
            fitting_dataset_config(config(dataset, tests[test]))
        )
        assert len(got) == IMAGES, case
        for item, labels in zip(map(got.__getitem__, range(IMAGES)), wanted):
            assert_same(network, item, labels, ignored, case)


def assert_same(network, item, labels, ignored, case):
    """As the fit sees them, on an input that is padded to 40 x 40."""
    network.decode_head.ignore_index = ignored
    network.data_preprocessor = MODELS.build(
        dict(
            type='mmseg.SegDataPreProcessor',
            test_cfg=dict(size=(40, 40)),
            pad_val=0,
        )
    )
    image = labelled_image(network, item)
    height, width = labels.shape
    assert image.labels.shape == (40, 40)
    void = ignored if ignored == 255 else -1  # no class in the fit
    labels = labels.where(labels != ignored, void)
    assert torch.equal(image.labels[:height, :width], labels), case
    padding = torch.ones(40, 40, dtype=torch.bool)
    padding[:height, :width] = False
    assert (image.labels[padding] == void).all(), case


@pytest.mark.parametrize(
    'padding', [dict(size=(40, 40)), dict(size_divisor=13)]
)
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_padding_counts_in_nothing(folders, padding, mode):
    """The pixels are features: those of the padding are 1e6."""
    windows = dict(mode='slide', crop_size=(13, 13), stride=(13, 13))
    network = pixel_network(4, windows if mode == 'slide' else None)
    pipeline = [LOAD, ANNOTATIONS, PACK]
    cfg = config(data_set(folders['8 bits'], pipeline), pipeline)
    dataset = fitting_dataset(fitting_dataset_config(cfg))
    sums = {}
    for name, test_cfg in (('padded', padding), ('plain', None)):
        network.data_preprocessor = MODELS.build(
            dict(
                type='mmseg.SegDataPreProcessor',
                test_cfg=test_cfg,
                pad_val=1e6,
            )
        )
        if name == 'plain':
            network.test_cfg = dict(mode='whole')
        fitter = DensityFitter(network, pixels_per_class=None)
        for index in range(IMAGES):
            image = labelled_image(network, dataset[index])
            fitter.update(image, index)
        sums[name] = fitter.sums
    padded, plain = sums['padded'], sums['plain']
    assert torch.equal(padded.class_count, plain.class_count)
    for key, value in plain.moments[0].state_dict().items():
        there = padded.moments[0].state_dict()[key]
        torch.testing.assert_close(there, value, rtol=1e-5, atol=1e-3)
    statistics = [each.statistics.sample()[0] for each in (padded, plain)]
    torch.testing.assert_close(*statistics)


def test_a_step_of_both_pipelines_changes_labels_once(folders):
    """Also one that cuts images; and random ones of the training do not."""
    cut = dict(type='WithoutBottom')
    flip = dict(type='OwnFlip')
    swap = renumber((1, 2), (2, 1))
    training = [LOAD, ANNOTATIONS, cut, swap, PACK]
    dataset = data_set(folders['8 bits'], training)
    truth = labels_of(DATASETS.build(dataset))
    dataset['pipeline'] = [LOAD, ANNOTATIONS, flip, cut, swap, PACK]
    for test in (training, [LOAD, cut, ANNOTATIONS, swap, PACK]):
        got = fitted_labels(dataset, test)
        assert all(map(torch.equal, got, truth))


@pytest.mark.parametrize(
    'step, what',
    [
        (dict(type='LabelNoise'), 'labels at random'),
        (dict(type='FlipAndMerge', table=((3, 1),)), 'together'),
        (dict(type='BlackOut'), 'together'),
        (dict(type='NeedsTwoClasses'), 'together'),
    ],
)
def test_what_cannot_be_told_apart_is_refused(folders, step, what):
    pipeline = [LOAD, ANNOTATIONS, step, PACK]
    dataset = data_set(folders['8 bits'], pipeline)
    with pytest.raises(ValueError, match=f'{step["type"]} of.*{what}'):
        fitted_labels(dataset, [LOAD, PACK])


def test_labels_of_the_test_do_not_count(folders):
    """Nor a step of it that needs more than the labels."""
    pipeline = [LOAD, ANNOTATIONS, PACK]
    dataset = data_set(folders['8 bits'], pipeline)
    truth = labels_of(DATASETS.build(dataset))
    for step in (
        dict(type='mmseg_ddu.LoadOoDAnnotations'),
        dict(type='VoidBorder'),
    ):
        test = [LOAD, ANNOTATIONS, step, PACK]
        got = fitted_labels(dataset, test)
        assert all(map(torch.equal, got, truth))


def test_classes_for_types(folders):
    """Configs in plain Python name no strings."""
    from mmcv.transforms import LoadImageFromFile
    from mmengine.dataset import RepeatDataset
    from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs

    swap = dict(type=Renumber, table=((1, 2), (2, 1)))
    pipeline = [
        dict(type=LoadImageFromFile),
        dict(type=LoadAnnotations),
        swap,
        dict(type=PackSegInputs),
    ]
    dataset = dict(data_set(folders['8 bits'], pipeline), type=FourClasses)
    truth = labels_of(DATASETS.build(dataset))
    dataset = dict(type=RepeatDataset, times=2, dataset=dataset)
    got = fitted_labels(dataset, [pipeline[0], *pipeline[2:]])
    assert len(got) == IMAGES and all(map(torch.equal, got, truth))


@pytest.mark.parametrize('change', [np.transpose, lambda mask: mask[:, :9]])
def test_mask_of_another_size(folders, tmp_path, change):
    for folder in ('img', 'ann'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (16, 12)).save(tmp_path / 'img' / 'x.png')
    mask = np.zeros((12, 16), np.uint8)
    Image.fromarray(change(mask)).save(tmp_path / 'ann' / 'x.png')
    pipeline = [LOAD, ANNOTATIONS, PACK]
    sizes = rf'\(12, 16\), but got \({change(mask).shape[0]}, .*ann/x.png'
    resize = dict(type='Resize', scale=(16, 16))
    for test in (pipeline, [LOAD, resize, PACK]):
        with pytest.raises(ValueError, match=sizes):
            fitted_labels(data_set(tmp_path, pipeline), test)
