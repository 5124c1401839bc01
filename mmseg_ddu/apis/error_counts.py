"""Errors of labelled images by uncertainty, kept while they are counted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_ddu.core.risk_control import LEVELS, STEP, count_errors
from mmseg_ddu.engine.build import check_classes
from mmseg_ddu.engine.checkpoint import digest, weights_digest
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    bare_datasets,
    image_names,
)
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.fileio import alone_at, parse_json
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.registry import DATASETS, bare_type

from .json_form import has_form

SPLITS = ('val', 'test')


def count_errors_of(
    model: nn.Module, checkpoint: Path, split: str, folder: Path
) -> list[Tensor]:
    """Counts of each image that has labels, of :func:`count_errors`.

    They are kept in ``<stem>.<split>_errors.jsonl``, for the same weights,
    settings, images and labels.

    Args:
        model (nn.Module): From :func:`init_ddu`.
        checkpoint (Path): Its file.
        split (str): ``val`` or ``test``.
        folder (Path): Where the counts are kept.

    Raises:
        ValueError: If there are no such images, they have no labels, or
            some were trained on; if the counts that are there are damaged.
        BlockingIOError: If another process counts the same.
        Interrupted: A KeyboardInterrupt, after the counts were written.
    """
    dataset = labelled_images(model, split)
    files = [*image_names(dataset), *image_names(dataset, 'seg_map_path')]
    belongs = dict(
        weights=weights_digest(checkpoint),
        model=digest([model.cfg.model, dataset_config(model, split)]),
        images=digest([_state_of(file) for file in files]),
        levels=[STEP, LEVELS],
    )
    path = folder / f'{checkpoint.stem}.{split}_errors.jsonl'
    with alone_at(path), path.open('a+b') as file, StopRequest() as stop:
        sizes = len(dataset), len(model.abstention.thresholds)
        counts = _begin(file, path, belongs, sizes)
        rest = [i for i in range(len(dataset)) if i not in counts]
        for index in track(rest, 'Errors by uncertainty', disable=not rest):
            counts[index] = _count(model, dataset[index])
            _append(file, dict(image=index, counts=counts[index].tolist()))
            if stop.made:
                raise Interrupted(
                    f'Stopped; {len(counts)} of {len(dataset)} images are '
                    f'kept in {path}. The same command goes on from there.'
                )
    labelled = [rows for rows in counts.values() if len(rows)]
    if not labelled:
        raise ValueError(
            f'None of the {len(dataset)} {split} images has a labelled pixel.'
        )
    if len(labelled) < len(dataset):
        MMLogger.get_current_instance().warning(
            f'{len(dataset) - len(labelled)} of {len(dataset)} {split} images '
            'have no labelled pixel and do not count.'
        )
    return labelled


def dataset_config(model: nn.Module, split: str) -> dict:
    """The data set of the validation or the test.

    Raises:
        ValueError: If the config has none.
    """
    if split not in SPLITS:
        raise ValueError(f'Expected split of {SPLITS}, but got {split!r:.80}.')
    loader = model.cfg.get(f'{split}_dataloader')
    if loader is None:
        raise ValueError(
            f'The config has no {split}_dataloader; choose another split, or '
            'add one with images that were not trained on.'
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
def _count(model: nn.Module, item: dict) -> Tensor:
    """Counts of one image of a data set."""
    sample = model.test_step(as_batch(item))[0]
    path = sample.metainfo.get('img_path')
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            f'{path} has no labels; the pipeline of its data set needs '
            'LoadAnnotations.'
        )
    labels = sample.gt_sem_seg.data.squeeze(0)
    classes = sample.pred_sem_seg.data.squeeze(0)
    if labels.shape != classes.shape:
        raise ValueError(
            f'The labels of {path} are {tuple(labels.shape)} and the '
            f'prediction is {tuple(classes.shape)}; put LoadAnnotations '
            'behind Resize, as mmseg has it.'
        )
    total = sample.pred_total.data.squeeze(0)
    void = last_decode_head(model).ignore_index
    return count_errors(total, classes, labels.to(classes.device), void)


def _state_of(file: str) -> list:
    """Its name, and what changes with its contents, where that is known."""
    try:
        stat = os.stat(file)
    except OSError:
        return [file]
    return [file, stat.st_size, stat.st_mtime_ns]


def _begin(
    file: BinaryIO, path: Path, belongs: dict, sizes: tuple[int, int]
) -> dict[int, Tensor]:
    """Counts of an earlier run, if they belong; a line cut off is removed.

    ``sizes`` are the numbers of images and of classes.
    """
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b'\n') + 1]
    file.truncate(len(whole))
    form = dict(
        image=lambda value: value in range(sizes[0]),
        counts=[lambda row: _is_count(row, sizes[1])],
    )
    try:
        first, *rows = map(parse_json, whole.splitlines() or [b'null'])
        same = first == belongs
        sound = not same or all(has_form(row, form) for row in rows)
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise ValueError(
            f'{path} is damaged. Remove it, and the images are counted again.'
        )
    if not same:
        file.truncate(0)
        _append(file, belongs)
        return {}
    return {
        row['image']: torch.tensor(row['counts'], dtype=torch.int64)
        for row in rows
    }


def _is_count(row: Any, classes: int) -> bool:
    """Whether JSON is a row of :func:`count_errors`."""
    if not (isinstance(row, list) and {*map(type, row)} == {int}):
        return False
    kind, level, count, wrong = row
    known = kind in range(classes) and level in range(LEVELS + 1)
    return known and 0 <= wrong <= count != 0


def _append(file: BinaryIO, row: dict) -> None:
    file.write(json.dumps(row).encode() + b'\n')
    file.flush()
