"""Errors of labelled images by uncertainty, kept while they are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_ddu.core.risk_control import LEVELS, count_errors
from mmseg_ddu.engine.build import check_classes
from mmseg_ddu.engine.checkpoint import digest, plain, weights_digest
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    bare_datasets,
    image_names,
)
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.registry import DATASETS

SPLITS = ('val', 'test')


def count_errors_of(
    model: nn.Module, checkpoint: Path, split: str
) -> list[Tensor]:
    """Counts of each image that has labels, of :func:`count_errors`.

    They are kept in ``<stem>.<split>_errors.jsonl`` beside the checkpoint.

    Args:
        model (nn.Module): From :func:`init_ddu`.
        checkpoint (Path): Its file.
        split (str): ``val`` or ``test``.

    Raises:
        ValueError: If there are no such images, they have no labels, or
            some were trained on.
        Interrupted: A KeyboardInterrupt, after the counts were written.
    """
    dataset = labelled_images(model, split)
    belongs = plain(
        dict(
            weights=weights_digest(checkpoint),
            model=digest([model.cfg.model, dataset_config(model, split)]),
            images=digest(image_names(dataset)),
        )
    )
    path = checkpoint.with_name(f'{checkpoint.stem}.{split}_errors.jsonl')
    counts = dict(_read(path, belongs, len(dataset)))
    if not counts:
        path.write_text(json.dumps(belongs) + '\n')
    rest = [i for i in range(len(dataset)) if i not in counts]
    with path.open('a') as file, StopRequest() as stop:
        for index in track(rest, 'Errors by uncertainty', disable=not rest):
            counts[index] = _count(model, dataset[index])
            row = dict(image=index, counts=counts[index].tolist())
            file.write(json.dumps(row) + '\n')
            file.flush()
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
    seen = training_images(model.cfg) & set(image_names(dataset))
    if seen:
        raise ValueError(
            f'{len(seen)} of the {len(dataset)} {split} images were trained '
            f'on, for example {sorted(seen)[0]}. On them the network errs '
            'less than on new images, so no promise can be made. Use others.'
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


def training_images(cfg: Mapping) -> set[str]:
    """Paths of the training images, as far as they are known."""
    found: set[str] = set()
    loader = cfg.get('train_dataloader')
    for bare in bare_datasets(loader['dataset']) if loader else ():
        try:
            dataset = DATASETS.build(dict(bare, pipeline=[]))
            found |= set(image_names(dataset))
        except Exception as error:  # they may be on another machine
            MMLogger.get_current_instance().warning(
                'It could not be checked whether images were trained on: '
                f'{error}'
            )
    return found


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


def _read(
    path: Path, belongs: dict, images: int
) -> Iterator[tuple[int, Tensor]]:
    """Counts of an earlier run of the same model on the same images."""
    if not path.is_file():
        return
    with path.open() as file:
        if _parsed(file.readline()) != belongs:
            return
        for line in file:
            row = _parsed(line)
            if not isinstance(row, dict):  # cut off
                continue
            index, counts = row.get('image'), row.get('counts')
            if type(index) is int and 0 <= index < images:
                rows = torch.tensor(counts, dtype=torch.int64).view(-1, 4)
                if len(rows) == 0 or 0 <= rows[:, 1].min() <= LEVELS:
                    yield index, rows


def _parsed(line: str):
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
