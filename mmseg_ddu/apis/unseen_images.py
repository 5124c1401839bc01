"""Labelled images of a config, and which of them were trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import Dataset

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.metrics.metric import JudgedImage
from mmseg_ddu.engine.build import check_classes
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    bare_datasets,
    image_names,
)
from mmseg_ddu.engine.labels import require_class_numbers
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.evaluation.judged_samples import judge
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.registry import DATASETS, bare_type

from .image_files import SUFFIXES, check_image

SPLITS = ('val', 'test')


def dataset_config(
    model: nn.Module, split: str, splits: Sequence[str] = SPLITS
) -> dict:
    """The data set of the validation or the test.

    Raises:
        ValueError: If the config has none.
    """
    require(split in splits, f'split of {splits}', split)
    loader = model.cfg.get(f'{split}_dataloader')
    if loader is None:
        raise ValueError(
            f'The config has no {split}_dataloader; choose another split, or '
            'add one, for val and test with images that were not trained on.'
        )
    return loader['dataset']


def labelled_images(model: nn.Module, split: str) -> Dataset:
    """The images of a split, none of which was trained on."""
    dataset = built_images(model, dataset_config(model, split))
    seen = trained_on(model.cfg, image_names(dataset))
    if seen:
        raise ValueError(
            f'{len(seen)} of the {len(dataset)} {split} images were trained '
            f'on, for example {seen[0]}. On them the network errs less than '
            'on new images, so no promise can be made. Use others.'
        )
    return dataset


def built_images(model: nn.Module, config: dict) -> Dataset:
    """A data set whose classes are those of the model."""
    with naming_empty_folders(config):
        dataset = DATASETS.build(config)
        dataset.full_init()
    check_classes(
        model, dataset.metainfo, model.checkpoint_meta.get('dataset_meta')
    )
    return dataset


def trained_on(cfg: Mapping, names: Sequence[str]) -> list[str]:
    """Those paths of images that the training data holds, links followed.

    What cannot be compared is a warning, as training images elsewhere.
    """
    found: set[str] = set()
    loader = cfg.get('train_dataloader')
    why = [] if loader else ['the config has no train_dataloader']
    if not names:
        why.append('the data set does not say where its images are')
    for bare in bare_datasets(loader['dataset']) if loader else ():
        try:
            theirs = image_names(DATASETS.build(dict(bare, pipeline=[])))
        except Exception as error:  # whatever an absent folder raises
            why.append(str(error))
            continue
        if not theirs:
            why.append(f'{bare_type(bare)} of the training names no image')
        found.update(map(os.path.realpath, theirs))
    if why:
        MMLogger.get_current_instance().warning(
            'It could not be checked whether images were trained on: '
            f'{"; ".join(why)}. Make sure that none was.'
        )
    return [name for name in names if os.path.realpath(name) in found]


@torch.no_grad()
def labelled_prediction(
    model: nn.Module, item: dict
) -> tuple[SegDataSample, JudgedImage]:
    """The prediction of an item of a data set, with labels of its size.

    Raises:
        ValueError: If there are no labels, or they are colours, of another
            size or other classes.
    """
    sample = model.test_step(as_batch(item))[0]
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            'no labels; the pipeline of the data set needs LoadAnnotations'
        )
    file = sample.get('seg_map_path') or 'what it is labelled with'
    require_class_numbers(sample.gt_sem_seg.data.shape, file)
    labels, classes = (
        tuple(sample.get(name).data.shape[-2:])
        for name in ('gt_sem_seg', 'pred_sem_seg')
    )
    if labels != classes:
        raise ValueError(
            f'the labels are {labels} and the image is {classes}; if that is '
            'so everywhere, put LoadAnnotations behind Resize, as mmseg has '
            'it'
        )
    image = judge(sample.to_dict(), last_decode_head(model).ignore_index)
    highest = int(image.labels.long().where(image.known, -1).max())
    if highest >= len(image.logits):
        raise ValueError(
            f'label {highest}, but there are {len(image.logits)} classes; '
            'correct it, or make it void (255)'
        )
    return sample, image


def labelled_item(dataset: Dataset, index: int) -> dict:
    """An item; ValueError if the image or its labels cannot be read."""
    try:
        return dataset[index]
    except Exception as error:  # whatever a decoder raises
        image, labels = files_of(dataset, index)
        parts = {'the image': image, f'its labels {labels}': labels}
        damaged = [name for name, file in parts.items() if _is_damaged(file)]
        raise ValueError(
            f'{" and ".join(damaged) or "it"} cannot be read '
            f'({reason(error)}); replace the file, or leave the image out'
        ) from error


def files_of(dataset: Dataset, index: int) -> list[str | None]:
    """Of an image and its labels, where the data set says so."""
    known = hasattr(dataset, 'get_data_info')
    info = dataset.get_data_info(index) if known else {}
    return [info.get('img_path'), info.get('seg_map_path')]


def _is_damaged(file: str | None) -> bool:
    """Whether a file is no whole image, so far as can be told."""
    if file is None or Path(file).suffix.lower() not in SUFFIXES:
        return False
    try:
        check_image(Path(file))
    except Exception:  # whatever a decoder raises
        return True
    return False
