"""Which of the ranked images to take: the highest, a draw, or a variety."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import nn

from mmseg_ddu.apis.inference import init_ddu, prepare
from mmseg_ddu.apis.kept_parts import Part, file_stamp

from .found_images import FoundImages, open_parts
from .ranked_image import RankedImage


def choose(
    images: Sequence[RankedImage],
    budget: int,
    temperature: float,
    seed: int,
    features: np.ndarray | None = None,
) -> list[RankedImage]:
    """The images with the highest scores, or a draw that favours them.

    With a temperature T they are drawn without replacement, each with a
    probability in proportion to score ** (1 / T): the order of
    log(score) / T plus noise of a Gumbel distribution.

    Args:
        features (np.ndarray, optional): (N, D) of length 1. With them each
            next image is that with the highest product of score and distance
            (1 - cosine) to the nearest one chosen.
    """
    if budget > len(images):
        MMLogger.get_current_instance().warning(
            f'A budget of {budget} images was given, but there are only '
            f'{len(images)}: all are listed.'
        )
    keys = np.array([each.score for each in images], dtype=np.float64)
    if temperature or features is not None:
        keys = np.log(np.maximum(keys, 1e-300))
    if temperature:
        noise = np.random.default_rng(seed).gumbel(size=len(keys))
        keys = keys / temperature + noise
    if features is None:
        order = np.argsort(-keys, kind='stable')[:budget]
    else:
        order = _far_apart(keys, features, min(budget, len(images)))
    return [images[place] for place in order]


def _far_apart(
    keys: np.ndarray, features: np.ndarray, budget: int
) -> list[int]:
    chosen: list[int] = []
    distance = np.ones(len(keys))
    for _ in range(budget):
        value = keys + np.log(np.maximum(distance, 1e-12))
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
        now = 1 - features @ features[chosen[-1]]
        distance = np.minimum(distance, now)
    return chosen


def mean_features(
    found: FoundImages,
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    parts: Path,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> np.ndarray:
    """What the density sees of each image, on average: (N, D), length 1.

    Args:
        found (FoundImages): N images, once those are left out that cannot be
            read.
        parts (Path): A folder where the features are kept.
    """
    model = init_ddu(config, checkpoint, device, cfg_options)
    if not hasattr(model, 'iter_features'):
        raise ValueError(
            f'{type(model).__name__} has no density whose features could be '
            'compared. Fit one with tools/fit_gda.py and use that checkpoint.'
        )
    open_parts(parts, checkpoint, model.cfg.model)
    images, rows = [], []
    for image in track(found.images, 'Features'):
        file = parts / f'{file_stamp(image.image)}.npz'
        measure = partial(_mean_feature, model, image.image)
        part = found.measured(image.image, file, measure)
        if part is not None:
            images.append(image)
            rows.append(part['feature'])
    found.images = images
    found.require_some()
    features = np.stack(rows)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)


@torch.no_grad()
def _mean_feature(model: nn.Module, image: str) -> Part:
    data = model.data_preprocessor(prepare(model, image), False)
    meta = data['data_samples'][0].metainfo
    head, means = model.gda_head, []
    for _, features, _ in model.iter_features(data['inputs'], [meta]):
        vectors = head.vectors(features[head.tap][0].flatten(1).mT)
        means.append(vectors.nan_to_num(0, 0, 0).double().mean(0))
    return dict(feature=torch.stack(means).mean(0).cpu().numpy())
