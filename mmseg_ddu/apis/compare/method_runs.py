"""Measuring the methods of one checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from .row_counts import RowCounts
from .unfinished import Unfinished


def hashes(method: Method) -> list[dict]:
    """Files of a method; the hash is None for one that is missing."""
    return [
        dict(file=path.name, sha256=sha256(path) if path.is_file() else None)
        for path in method.checkpoints
    ]


@dataclass
class Measurement:
    """How everything is measured, the same for all methods.

    Attributes:
        cfg (Config): The config the networks were trained with.
        pools (Mapping[str, Dataset]): Name to images.
        protocol (dict): ``stride``, ``patch``, ``seed`` and ``near_labels``.
        timing_images (int): Images that the time is measured on.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.

    Raises:
        ValueError: If stride or patch are below 1.
    """

    cfg: Config
    pools: Mapping[str, Dataset]
    protocol: dict
    timing_images: int
    device: str | None

    def __post_init__(self) -> None:
        for name in ('stride', 'patch'):
            value = self.protocol[name]
            if value < 1:
                raise ValueError(f'Expected {name} >= 1, but got {value}.')

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Pool and number in it, of each image."""
        pools = self.pools.items()
        return [(name, i) for name, pool in pools for i in range(len(pool))]

    def run(
        self, methods: Sequence[Method], unfinished: Unfinished
    ) -> dict[str, dict]:
        """Row to its entry in the results; one that fails has its error.

        If methods that share a checkpoint fail, each runs alone. Every rank
        has to call it and gets the same; what fails on one fails on all.
        """
        try:
            entries = self._measure(methods, unfinished)
        except Exception as error:
            if len(methods) > 1:
                parts = [self.run([method], unfinished) for method in methods]
                return {row: e for part in parts for row, e in part.items()}
            logger = MMLogger.get_current_instance()
            if is_main_process():
                logger.error(f'{methods[0].name} failed: {reason(error)}')
            logger.debug('where it failed', exc_info=error)
            entries = {r: dict(error=reason(error)) for r in methods[0].rows}
        for method in methods:
            origin = dict(
                method=method.name,
                checkpoints=hashes(method),
                network_seed=_network_seed(method),
            )
            for row, score in method.rows.items():
                entries[row].update(origin, score=score)
        return entries

    def _predictor(self, methods: Sequence[Method]) -> Predictor:
        meta = self.pools[PLAIN].metainfo
        return Predictor(methods, self.cfg, self.device, meta)

    def _measure(
        self, methods: Sequence[Method], unfinished: Unfinished
    ) -> dict[str, dict]:
        """Row to its figures, curves and costs."""
        with together():
            predictor = self._predictor(methods)
        counts = self._count(predictor, unfinished)
        del predictor

        def entries() -> dict[str, dict]:
            result = counts.result()
            for method in methods:
                costs = self._costs(method)
                for row in method.rows:
                    result[row].update(costs)
            return result

        return on_main(entries)

    def _count(
        self, predictor: Predictor, unfinished: Unfinished
    ) -> RowCounts:
        """Count all images; every rank takes its share and gets all.

        The ranks go from image to image in step, so that an error, a wish
        to stop and the time to save reach all of them at the same place.

        Raises:
            Interrupted: After Ctrl-C or SIGTERM, when all is saved.
            ValueError: If no plain image can be read.
        """
        rank, world = get_dist_info()
        total = len(self.places)
        shifts = [name for name in self.pools if name != PLAIN]
        counts = RowCounts(
            list(predictor.rows), shifts, self.protocol['patch']
        )
        done = unfinished.load(counts)
        title = ', '.join(method.name for method in predictor.methods)
        steps = track(range(done, total, world), title, disable=rank > 0)
        with StopRequest() as request:
            for first in steps:
                error = None
                try:
                    if first + rank < total:
                        self._count_image(predictor, counts, first + rank)
                except Exception as failure:
                    error = failure
                wishes = agree((request.made, unfinished.due()), error)
                stop, save = (any(wish) for wish in zip(*wishes))
                done = min(first + world, total)
                if stop or save:
                    unfinished.save(done, counts)
                if stop:
                    break
            else:
                unfinished.save(total, counts)
                stop = any(agree(request.made))
        if stop:
            raise Interrupted(
                f'Stopped with {done} of {total} images of {title} saved. '
                'The same command goes on from there.'
            )
        return self._all_of(counts)

    def _all_of(self, counts: RowCounts) -> RowCounts:
        """Those of all ranks, if there is anything to judge."""
        counts = counts.of_all_ranks()
        lost = [image for image in counts.unreadable if image['pool'] == PLAIN]
        if len(lost) == len(self.pools[PLAIN]):
            raise ValueError(
                f'None of the {len(lost)} test images can be read; the '
                f'first: {lost[0]["error"]}'
            )
        return counts

    def _count_image(
        self, predictor: Predictor, counts: RowCounts, number: int
    ) -> None:
        """Predict and count an image; one that cannot be read is left out.

        ``number`` goes through all pools.
        """
        pool, index = self.places[number]
        item = read_item(self.pools[pool], index)
        if isinstance(item, str):
            lost = dict(number=number, pool=pool, error=item)
            counts.unreadable.append(lost)
            MMLogger.get_current_instance().warning(
                f'An image of {pool!r} cannot be read and is left out: {item}'
            )
            return
        stride, near = self.protocol['stride'], self.protocol['near_labels']
        torch.manual_seed(self.protocol['seed'] + number)
        sample, scores = predictor(as_batch(item), stride)
        void = last_decode_head(predictor.model).ignore_index
        image = judge_in_pool(pool, sample, stride, near, void)
        counts.update(pool, image, scores)

    def _costs(self, method: Method) -> dict:
        """Costs of a method that runs alone."""
        predictor = self._predictor([method])
        images = self.pools[PLAIN]
        items = (read_item(images, index) for index in range(len(images)))
        readable = (as_batch(item) for item in items if isinstance(item, dict))
        batches = list(islice(readable, self.timing_images))
        costs = dict(ms=math.nan, peak_mib=None, parameters=None)
        if batches:
            costs = measure_cost(predictor, predictor.model, batches)
        return dict(costs, passes=method.passes)


def _network_seed(method: Method) -> Any:
    """Seed of the training, where the checkpoint says it."""
    try:
        return read_checkpoint(method.checkpoints[0])['meta'].get('seed')
    except (OSError, ValueError):
        return None
