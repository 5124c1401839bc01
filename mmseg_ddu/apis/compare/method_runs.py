"""Measuring the methods of one checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_main_process
from mmengine.logging import MMLogger
from rich.progress import track
from torch.utils.data import Dataset

from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.ranks import agree, on_main, reason, together
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.fileio import sha256
from mmseg_ddu.models.heads import last_decode_head

from .costs import measure_cost
from .image_pools import PLAIN, judge_in_pool, read_item
from .method_names import Method
from .predictors import Predictor
from .row_counts import RowCounts, Setting
from .unfinished import Unfinished


def hashes(method: Method) -> list[dict]:
    """Files of a method; the hash is None for one that is missing."""
    return [
        dict(file=path.name, sha256=sha256(path) if path.is_file() else None)
        for path in method.checkpoints
    ]


def run_group(
    methods: Sequence[Method],
    cfg: Config,
    setting: Setting,
    pools: Mapping[str, Dataset],
    unfinished: Unfinished,
) -> dict[str, dict]:
    """Row to its entry in the results; one that fails has its error there.

    If a group fails, each of its methods runs alone. Every rank has to call
    it and gets the same; what fails on one fails on all.
    """
    try:
        entries = _measure(methods, cfg, setting, pools, unfinished)
    except Exception as error:
        if len(methods) > 1:
            parts = [
                run_group([method], cfg, setting, pools, unfinished)
                for method in methods
            ]
            return {row: e for part in parts for row, e in part.items()}
        logger = MMLogger.get_current_instance()
        if is_main_process():
            logger.error(f'{methods[0].name} failed: {reason(error)}')
        logger.debug('where it failed', exc_info=error)
        entries = {row: dict(error=reason(error)) for row in methods[0].rows}
    for method in methods:
        origin = dict(
            method=method.name,
            checkpoints=hashes(method),
            network_seed=_network_seed(method),
        )
        for row, score in method.rows.items():
            entries[row].update(origin, score=score)
    return entries


def _network_seed(method: Method) -> Any:
    """Seed of the training, where the checkpoint says it."""
    try:
        return read_checkpoint(method.checkpoints[0])['meta'].get('seed')
    except (OSError, ValueError):
        return None


def _measure(
    methods: Sequence[Method],
    cfg: Config,
    setting: Setting,
    pools: Mapping[str, Dataset],
    unfinished: Unfinished,
) -> dict[str, dict]:
    """Row to its figures, curves and costs; the same on every rank."""
    meta = pools[PLAIN].metainfo
    with together():
        predictor = Predictor(methods, cfg, setting.device, meta)
    shifts = [name for name in pools if name != PLAIN]
    counts = RowCounts(list(predictor.rows), setting, shifts)
    _count(predictor, counts, pools, unfinished)
    del predictor

    def entries() -> dict[str, dict]:
        result = counts.result()
        for method in methods:
            costs = _costs(method, cfg, setting, pools[PLAIN])
            for row in method.rows:
                result[row].update(costs)
        return result

    return on_main(entries)


def _count(
    predictor: Predictor,
    counts: RowCounts,
    pools: Mapping[str, Dataset],
    unfinished: Unfinished,
) -> None:
    """Count all images; every rank takes its share and has all in the end.

    The ranks go from image to image in step, so that an error, a wish to
    stop and the time to save reach all of them at the same place.

    Raises:
        Interrupted: After Ctrl-C or SIGTERM, when all is saved.
        ValueError: If no plain image can be read.
    """
    rank, world = get_dist_info()
    images = [(name, i) for name in pools for i in range(len(pools[name]))]
    done = unfinished.load(counts)
    steps = range(done, len(images), world)
    title = ', '.join(method.name for method in predictor.methods)
    with StopRequest() as request:
        for first in track(steps, title, disable=rank > 0):
            number, error = first + rank, None
            try:
                if number < len(images):
                    _count_image(predictor, counts, pools, images, number)
            except Exception as failure:
                error = failure
            wishes = agree((request.made, unfinished.due()), error)
            stop, save = (any(wish) for wish in zip(*wishes))
            done = min(first + world, len(images))
            if stop or save:
                unfinished.save(done, counts)
            if stop:
                break
        else:
            done = len(images)
            unfinished.save(done, counts)
            stop = any(agree(request.made))
    if stop:
        raise Interrupted(
            f'Stopped with {done} of {len(images)} images of {title} saved. '
            'The same command goes on from there.'
        )
    counts.synchronize()
    lost = [row for row in counts.unreadable if row['pool'] == PLAIN]
    if len(lost) == len(pools[PLAIN]):
        raise ValueError(
            f'None of the {len(lost)} test images can be read; the first: '
            f'{lost[0]["error"]}'
        )


def _count_image(
    predictor: Predictor,
    counts: RowCounts,
    pools: Mapping[str, Dataset],
    images: Sequence[tuple[str, int]],
    number: int,
) -> None:
    """Predict and count an image; one that cannot be read is left out."""
    name, index = images[number]
    item = read_item(pools[name], index)
    if isinstance(item, str):
        counts.unreadable.append(dict(number=number, pool=name, error=item))
        MMLogger.get_current_instance().warning(
            f'An image of {name!r} cannot be read and is left out: {item}'
        )
        return
    setting = counts.setting
    torch.manual_seed(setting.seed + number)
    sample, scores = predictor(as_batch(item), setting.stride)
    void = last_decode_head(predictor.model).ignore_index
    image = judge_in_pool(name, sample, setting.stride, setting.near, void)
    counts.update(name, image, scores)


def _costs(
    method: Method, cfg: Config, setting: Setting, images: Dataset
) -> dict:
    """Costs of a method that runs alone."""
    predictor = Predictor([method], cfg, setting.device, images.metainfo)
    items = (read_item(images, index) for index in range(len(images)))
    readable = (as_batch(item) for item in items if isinstance(item, dict))
    batches = list(islice(readable, setting.timing_images))
    costs = dict(ms=math.nan, peak_mib=None, parameters=None)
    if batches:
        costs = measure_cost(predictor, [predictor.model], batches)
    return dict(costs, passes=method.passes)
