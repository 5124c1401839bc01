"""Several processes of a group, forked so that imports are done once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import cv2
import torch.distributed as dist

TIMEOUT = 600  # seconds, on a machine that does much else


def run_ranks(world: int, function: Callable, *args) -> list:
    """Call ``function(*args)`` in each process of a gloo group.

    Returns:
        list: For each rank what was returned, or the exception.

    Raises:
        TimeoutError: If a process does not end.
    """
    context = multiprocessing.get_context('fork')
    with tempfile.TemporaryDirectory() as folder:
        pipes, ranks = [], []
        for rank in range(world):
            mine, its = context.Pipe(duplex=False)
            target = (its, f'{folder}/meet', rank, world, function, args)
            ranks.append(context.Process(target=_rank, args=target))
            ranks[-1].start()
            its.close()
            pipes.append(mine)
        try:
            end = time.monotonic() + TIMEOUT
            return [_receive(pipe, end) for pipe in pipes]
        finally:
            for process in ranks:
                process.kill()
                process.join()


def _receive(pipe, end: float):
    if not pipe.poll(max(0, end - time.monotonic())):
        raise TimeoutError('A process hangs.')
    return pickle.loads(pipe.recv_bytes())


def _rank(pipe, file, rank, world, function, args) -> None:
    os.environ['LOCAL_RANK'] = str(rank)
    cv2.setNumThreads(0)  # its threads were not forked
    dist.init_process_group(
        'gloo',
        init_method=f'file://{Path(file)}',
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=TIMEOUT // 2),
    )
    try:
        result = function(*args)
    except BaseException as error:
        traceback.print_exc()
        result = error
    pipe.send_bytes(pickle.dumps(result))
