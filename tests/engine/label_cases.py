"""Pipelines that make labels, with steps of a user's own."""

import copy
import itertools
import random

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
)

CLASSES = ('a', 'b', 'c', 'd')
SIZE, IMAGES = 16, 3
COMBINATIONS = 240

LOAD = dict(type='LoadImageFromFile')
ANNOTATIONS = dict(type='LoadAnnotations')
PACK = dict(type='PackSegInputs')


class Step(BaseTransform):
    """A user's own step."""

    def __init_subclass__(cls) -> None:
        TRANSFORMS.register_module(module=cls, force=True)


class Renumber(Step):
    def __init__(self, table):
        self.table = table

    def transform(self, results):
        old = results['gt_seg_map']
        new = old.copy()
        for before, after in self.table:
            new[old == before] = after
        return dict(results, gt_seg_map=new)


class VoidBorder(Step):
    """By position, in place, and into 64 bits."""

    def transform(self, results):
        results['gt_seg_map'] = results['gt_seg_map'].astype(np.int64)
        results['gt_seg_map'][:2] = 255
        return results


class ReadMask(Step):
    """A loader under its own name, for its own format."""

    def transform(self, results):
        mask = cv2.imread(results['seg_map_path'], cv2.IMREAD_UNCHANGED)
        mask = np.where(mask == 65535, 255, mask // 1000)
        results['gt_seg_map'] = mask.astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')
        return results


class OwnFlip(Step):
    def transform(self, results):
        if random.random() < 0.5:
            for key in ('img', 'gt_seg_map'):
                results[key] = np.ascontiguousarray(results[key][:, ::-1])
        return results


class OwnCrop(Step):
    """Random, and padded with void."""

    def transform(self, results):
        top = np.random.randint(8)
        for key, fill in (('img', 0), ('gt_seg_map', 255)):
            cut = results[key][top : top + 10].copy()
            cut[:1] = fill
            results[key] = cut
        return results


class OwnNoise(Step):
    def transform(self, results):
        noise = np.random.randint(0, 9, results['img'].shape, np.uint8)
        return dict(results, img=results['img'] // 2 + noise)


class WithoutBottom(Step):
    """Cuts the bonnet off, in training and test."""

    def transform(self, results):
        for key in ('img', 'gt_seg_map'):
            if key in results:
                results[key] = results[key][:12]
        results['img_shape'] = results['img'].shape[:2]
        return results


class LabelNoise(Step):
    def transform(self, results):
        where = np.random.rand(*results['gt_seg_map'].shape) < 0.3
        new = np.where(where, 1, results['gt_seg_map'])
        return dict(results, gt_seg_map=new.astype(np.uint8))


class FlipAndMerge(Renumber):
    def transform(self, results):
        return OwnFlip().transform(super().transform(results))


class BlackOut(Step):
    """A fixed place, black and void: an augmentation or a rule?"""

    def transform(self, results):
        img, labels = results['img'].copy(), results['gt_seg_map'].copy()
        img[:3], labels[:3] = 0, 255
        return dict(results, img=img, gt_seg_map=labels)


class NeedsTwoClasses(OwnFlip):
    """Drops images of one class."""

    def transform(self, results):
        if len(np.unique(results['gt_seg_map'])) > 1:
            return super().transform(results)


def renumber(*table):
    return dict(type='Renumber', table=table)


# What is between the file and the labels.
FORMATS = {  # name to mask format and loader
    'palette': ('palette', ANNOTATIONS),
    '8 bits': ('8 bits', ANNOTATIONS),
    'decoded by OpenCV': (
        '8 bits',
        dict(type='LoadAnnotations', imdecode_backend='cv2'),
    ),
    '16 bits': ('16 bits', ANNOTATIONS),
    'own loader': ('thousands', dict(type='ReadMask')),
}
LABEL_STEPS = {
    'none': [],
    'swap': [renumber((1, 2), (2, 1))],
    'merge': [renumber((3, 1))],
    'in order': [renumber((1, 2), (2, 1)), renumber((2, 3))],
    'void': [renumber((255, 1))],
    'border': [dict(type='VoidBorder')],
    'wrapped': [
        dict(type='RandomApply', prob=1.0, transforms=[renumber((1, 0))])
    ],
}
AUGMENTATIONS = [
    dict(type='RandomResize', scale=(32, 32), ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(8, 8)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomRotate', prob=1.0, degree=40),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomCutOut', prob=1.0, n_holes=1, cutout_ratio=(0.4, 0.4),
         seg_fill_in=0),
    dict(type='RandomChoice', transforms=[
        [dict(type='RandomFlip', prob=1.0)], [dict(type='OwnFlip')],
    ]),
    dict(type='OwnFlip'),
    dict(type='OwnCrop'),
    dict(type='OwnNoise'),
]  # fmt: skip
WRAPPERS = ('none', 'repeated', 'concatenated', 'mosaic', 'outer steps')
TESTS = ('as training', 'train only', 'twice as large', 'labels first')
FACTORS = dict(
    source=FORMATS,
    steps=LABEL_STEPS,
    classes=(CLASSES, ('b', 'd')),
    reduce=(False, True),
    ignore_index=(255, 0, 3),
    wrapper=WRAPPERS,
    test=TESTS,
)


def combinations():
    """A seeded choice, with every value of every factor."""
    every = list(itertools.product(*FACTORS.values()))
    chosen = random.Random(0).sample(every, COMBINATIONS)
    for place, values in enumerate(FACTORS.values()):
        assert {case[place] for case in chosen} == set(values)
    return chosen


@DATASETS.register_module(force=True)
class FourClasses(DATASETS.get('BaseSegDataset')):
    METAINFO = dict(classes=CLASSES, palette=[[i] * 3 for i in range(4)])


def data_set(root, pipeline, **options):
    return dict(
        type='FourClasses',
        data_root=str(root),
        img_suffix='.png',
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        pipeline=pipeline,
        serialize_data=False,  # which collects garbage each time
        **options,
    )


def augmented(steps, rng):
    """Some augmentations between and behind the steps."""
    steps = list(steps)
    for step in rng.sample(AUGMENTATIONS, 3):
        steps.insert(rng.randint(0, len(steps)), step)
    return steps


def config(dataset, test_pipeline):
    loaders = dict(
        train_dataloader=dict(dataset=dataset),
        test_dataloader=dict(dataset=dict(pipeline=test_pipeline)),
    )
    return Config(copy.deepcopy(loaders))


def labels_of(dataset):
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    return [sample.gt_sem_seg.data[0] for sample in samples]


def fitted_labels(dataset, test_pipeline):
    cfg = config(dataset, test_pipeline)
    return labels_of(fitting_dataset(fitting_dataset_config(cfg)))
