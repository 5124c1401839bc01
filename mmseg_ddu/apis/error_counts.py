"""Errors of labelled images by uncertainty, kept while they are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.core.risk_control import LEVELS, STEP, count_errors
from mmseg_ddu.engine.checkpoint import digest, weights_digest
from mmseg_ddu.engine.fitting_data import image_names
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.fileio import alone_at, parse_json, require_writable_file

from .json_form import has_form
from .kept_parts import file_stamp
from .unseen_images import (
    dataset_config,
    files_of,
    labelled_images,
    labelled_item,
    labelled_prediction,
)

RULE = 2  # of what counts: the first took labels that are no class as wrong


def count_errors_of(
    model: nn.Module, checkpoint: Path, split: str, folder: Path
) -> list[Tensor]:
    """Counts of each image that has labels, of :func:`count_errors`.

    They are kept in ``<stem>.<split>_errors.jsonl``, for the same weights,
    settings, images and labels.

    Raises:
        ValueError: If there are no such images, they have no labels, or
            some were trained on; if the counts that are there are damaged.
        BlockingIOError: If another process counts the same.
        Interrupted: A KeyboardInterrupt, after the counts were written.
    """
    dataset = labelled_images(model, split)
    files = [*image_names(dataset), *image_names(dataset, 'seg_map_path')]
    belongs = _belongs(model, checkpoint, split, files)
    path = folder / f'{checkpoint.stem}.{split}_errors.jsonl'
    require_writable_file(path)
    with alone_at(path), path.open('a+b') as file, StopRequest() as stop:
        sizes = len(dataset), len(model.abstention.thresholds)
        counts = _begin(file, path, belongs, sizes)
        rest = [i for i in range(len(dataset)) if i not in counts]
        for index in track(rest, 'Errors by uncertainty', disable=not rest):
            counts[index] = _count(model, dataset, index)
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


def _belongs(
    model: nn.Module, checkpoint: Path, split: str, files: list[str]
) -> dict:
    """Of what counts are."""
    return dict(
        weights=weights_digest(checkpoint),
        model=digest([model.cfg.model, dataset_config(model, split)]),
        images=file_stamp(*files),
        levels=[STEP, LEVELS],
        rule=RULE,
    )


@torch.no_grad()
def _count(model: nn.Module, dataset: Dataset, index: int) -> Tensor:
    """Counts of one image of a data set."""
    try:
        item = labelled_item(dataset, index)
        sample, image = labelled_prediction(model, item)
    except ValueError as error:
        path = files_of(dataset, index)[0] or f'image {index}'
        raise ValueError(f'{path}: {error}') from error
    total = sample.pred_total.data.squeeze(0)
    return count_errors(total, image.classes, image.labels, VOID)


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
