"""Measuring the methods of one checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_main_process
from mmengine.logging import MMLogger
from rich.progress import track
from torch.utils.data import Dataset

from mmseg_ddu.engine.checkpoint import digest, read_checkpoint
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


def hashes(method: Method) -> list[dict]:
    """Files of a method; the hash is None for one that is missing."""
    return [
        dict(file=path.name, sha256=sha256(path) if path.is_file() else None)
        for path in method.checkpoints
    ]


@dataclass
class Measurement:
    """How everything is measured, the same for all methods.

    See :func:`compare`; ``pools`` are names to images, and ``protocol`` says
    ``stride``, ``patch``, ``seed`` and ``near_labels``.
    """

    cfg: Config
    pools: Mapping[str, Dataset]
    protocol: dict
    timing_images: int
    device: str | None
    save_every: float

    def run(
        self, methods: Sequence[Method], unfinished: Path
    ) -> dict[str, dict]:
        """Row to its entry in the results; one that fails has its error.

        If methods that share a checkpoint fail, each runs alone. Every rank
        has to call it and gets the same; what fails on one fails on all.
        What was counted so far is in the folder ``unfinished``.
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
        self, methods: Sequence[Method], unfinished: Path
    ) -> dict[str, dict]:
        """Row to its figures, curves and costs."""
        with together():
            predictor = self._predictor(methods)
        counts = self._count(predictor, unfinished).of_all_ranks()
        del predictor
        lost = [image for image in counts.unreadable if image['pool'] == PLAIN]
        if len(lost) == len(self.pools[PLAIN]):
            raise ValueError(
                f'None of the {len(lost)} test images can be read; the '
                f'first: {lost[0]["error"]}'
            )

        def entries() -> dict[str, dict]:
            result = counts.result()
            for method in methods:
                costs = self._costs(method)
                for row in method.rows:
                    result[row].update(costs)
            return result

        return on_main(entries)

    def _count(self, predictor: Predictor, unfinished: Path) -> RowCounts:
        """Count this rank's share of all images.

        The ranks go from image to image in step, so that an error, a wish
        to stop and the time to save reach all of them at the same place.

        Raises:
            Interrupted: After Ctrl-C or SIGTERM, when all is saved.
        """
        rank, world = get_dist_info()
        places = [(k, i) for k, v in self.pools.items() for i in range(len(v))]
        total = len(places)
        rows = list(predictor.rows)
        shifts = [name for name in self.pools if name != PLAIN]
        counts = RowCounts(rows, shifts, self.protocol['patch'])
        path = unfinished / f'{digest(rows)}.pth'
        done, saved_at = counts.load(path), monotonic()
        title = ', '.join(method.name for method in predictor.methods)
        steps = track(range(done, total, world), title, disable=rank > 0)
        with StopRequest() as request:
            for first in steps:
                number, error = first + rank, None
                try:
                    if number < total:
                        self._count_image(
                            predictor, counts, number, *places[number]
                        )
                except Exception as failure:
                    error = failure
                due = monotonic() - saved_at >= self.save_every
                wishes = agree((request.made, rank == 0 and due), error)
                stop, save = (any(wish) for wish in zip(*wishes))
                done = min(first + world, total)
                if stop or save or done == total:
                    counts.save(path, done)
                    saved_at = monotonic()
                if stop:
                    break
            stop = any(agree(request.made))
        if stop:
            raise Interrupted(
                f'Stopped with {done} of {total} images of {title} saved. '
                'The same command goes on from there.'
            )
        return counts

    def _count_image(
        self,
        predictor: Predictor,
        counts: RowCounts,
        number: int,
        pool: str,
        index: int,
    ) -> None:
        """Predict and count an image; one that cannot be read is left out."""
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
