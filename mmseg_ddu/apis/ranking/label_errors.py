"""Images whose labels the network finds hard to believe.

The score of an image is the mean of -log p(label) over the worst 2% of its
labelled pixels.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_ddu.apis.inference import init_ddu
from mmseg_ddu.apis.kept_parts import Part, file_stamp, kept
from mmseg_ddu.apis.unseen_images import (
    SPLITS,
    built_images,
    dataset_config,
    files_of,
    labelled_item,
    labelled_prediction,
    trained_on,
)
from mmseg_ddu.core.scores import log_probabilities
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    bare_datasets,
    evaluation_pipeline,
    fitting_dataset,
    image_names,
    with_whole_pipelines,
)
from mmseg_ddu.engine.stopping import Interrupted, StopRequest

from .error_kind import error_kind
from .found_images import FoundImages, open_parts
from .ranked_image import RankedImage
from .worst_region import worst_pixels, worst_region


def rank_label_errors(
    sources: Sequence[str | os.PathLike],
    split: str,
    parts: Path,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> FoundImages:
    """All labelled images of a split, with their scores.

    Args:
        sources (Sequence): Config and checkpoint.
        parts (Path): A folder where what was found of an image is kept.
    """
    if len(sources) != 2:
        raise ValueError(
            'To find label errors, give CONFIG and CHECKPOINT_gda.pth, but '
            f'got {len(sources)} arguments: the probabilities of all classes '
            'are needed, and exported maps do not hold them.'
        )
    config, checkpoint = sources
    model = init_ddu(config, checkpoint, device, cfg_options)
    settings, dataset = labelled(model, split)
    _warn_of_training(model, dataset, split)
    found = FoundImages(
        list(dataset.metainfo['classes']),
        dict(config=str(config), checkpoint=str(checkpoint), split=split),
    )
    open_parts(parts, checkpoint, [model.cfg.model, settings])
    total = len(dataset)
    with StopRequest() as stop:
        for index in track(range(total), 'Looking at labels'):
            _look(model, dataset, index, parts, found)
            if stop.made:
                raise Interrupted(
                    f'Stopped; {index + 1} of {total} images are kept in '
                    f'{parts}. The same command goes on from there.'
                )
    return found


def labelled(model: nn.Module, split: str) -> tuple[dict, Dataset]:
    """The images of a split, prepared as for a test, and their config."""
    config = dataset_config(model, split, ('train', *SPLITS))
    if split in SPLITS:
        return config, built_images(model, config)
    config = copy.deepcopy(with_whole_pipelines(config))
    for bare in bare_datasets(config):
        bare['pipeline'] = evaluation_pipeline(model.cfg)
    built_images(model, config)
    return config, fitting_dataset(config)  # each image once


def _warn_of_training(model: nn.Module, dataset: Dataset, split: str) -> None:
    names = image_names(dataset)
    seen = names if split == 'train' else trained_on(model.cfg, names)
    if seen:
        MMLogger.get_current_instance().warning(
            f'{len(seen)} of {len(dataset)} images were trained on. A network '
            'has learned their labels, wrong ones too, so errors are harder '
            'to see: better rank each part of the images with a network that '
            'was trained on the others.'
        )


def _look(
    model: nn.Module,
    dataset: Dataset,
    index: int,
    parts: Path,
    found: FoundImages,
) -> None:
    """Rank one image, or say why it cannot be ranked."""
    files = files_of(dataset, index)
    path = str(files[0])
    # Corrected labels are looked at again.
    stem = f'{index:06d}_{file_stamp(*files)}'
    find = partial(find_label_error, model, dataset, index)
    part = found.measured(path, parts / f'{stem}_error.npz', find)
    if part is None:
        return
    label, predicted = part['pair'].tolist()
    classes = partial(predicted_classes, model, dataset, index)
    file = parts / f'{stem}_classes.npz'
    found.images.append(
        RankedImage(
            image=path,
            score=float(part['score']),
            size=tuple(part['size'].tolist()),
            read_classes=lambda: kept(file, classes)['classes'],
            box=tuple(part['box'].tolist()),
            label=found.name(label),
            predicted=found.name(predicted),
            kind=str(part['kind']),
        )
    )


@torch.no_grad()
def find_label_error(model: nn.Module, dataset: Dataset, index: int) -> Part:
    """Where the label of an image is believed least.

    Returns:
        Part: ``score``, ``box``, ``size``, ``pair`` and ``kind``.

    Raises:
        ValueError: If there are no labels, or they do not fit.
    """
    _, image = labelled_prediction(model, labelled_item(dataset, index))
    log_probs = log_probabilities(image.logits[None])[0]
    labels, known = image.labels.long(), image.known
    if not known.any():
        raise ValueError('no pixel has a label')
    maps = labels, image.classes, known
    part = least_believed(log_probs, *maps)
    region = part.pop('region')
    kind = error_kind(region, part['pair'], *(x.cpu().numpy() for x in maps))
    return dict(part, kind=np.array(kind))


def least_believed(
    log_probs: Tensor, labels: Tensor, predicted: Tensor, known: Tensor
) -> Part:
    """Where labels are believed least.

    Args:
        log_probs (Tensor): (C, H, W), of classes.
        labels, predicted (Tensor): (H, W), integers.
        known (Tensor): (H, W) bool, where labels count.

    Returns:
        Part: ``score``; the worst ``region``, (H, W) bool, and its ``box``;
        ``size``; the ``pair`` of label and prediction that most of its
        pixels have.

    Raises:
        ValueError: If there are no probabilities.
    """
    chosen = log_probs.gather(0, labels.where(known, 0)[None])[0]
    disbelief = -chosen.where(known, torch.nan).float().cpu().numpy()
    if np.isnan(disbelief).all():
        raise ValueError('the network gives no probabilities')
    score, worst = worst_pixels(disbelief)
    region, box = worst_region(disbelief, worst)
    pairs = np.stack(
        [each.cpu().numpy()[region] for each in (labels, predicted)]
    ).astype(np.int64)
    values, counts = np.unique(pairs, axis=1, return_counts=True)
    # Those that differ first.
    counts = counts * (1 + len(pairs[0]) * (values[0] != values[1]))
    return dict(
        score=np.array(score),
        region=region,
        box=np.array(box),
        size=np.array(labels.shape),
        pair=values[:, counts.argmax()],
    )


@torch.no_grad()
def predicted_classes(model: nn.Module, dataset: Dataset, index: int) -> Part:
    """The classes of an image."""
    sample = model.test_step(as_batch(dataset[index]))[0]
    classes = sample.pred_sem_seg.data[0].cpu().numpy()
    return dict(classes=classes.astype(np.uint8))
