"""Several processes that begin and end together."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_world_size,
    init_dist,
    is_distributed,
    is_main_process,
)
from mmengine.model import is_model_wrapper
from torch import nn

from .stopping import Interrupted

T = TypeVar('T')
PATIENCE = timedelta(days=7)
# Rank, number of processes and rank on the machine; torchrun sets torch's own
# names.
VARIABLES = dict(
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=(
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
)


def join(launcher: str) -> None:
    """Join the processes of a launcher, once; on machines without CUDA too.

    Args:
        launcher (str): ``none``, ``pytorch`` (torchrun), ``slurm``, ``mpi``.

    Raises:
        ValueError: If the launcher has not started this process.
    """
    if launcher == 'none' or is_distributed():
        return
    if torch.cuda.is_available():
        init_dist(launcher)
        return
    # mmengine's init_dist insists on CUDA.
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    for name, given in zip(names, VARIABLES.get(launcher, names)):
        if given not in os.environ:
            raise ValueError(
                f'The launcher {launcher!r} sets {given}, but it is not set: '
                'start with torchrun (pytorch), srun (slurm) or mpirun (mpi).'
            )
        os.environ[name] = os.environ[given]
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        nodes = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
        hosts = subprocess.check_output(nodes, text=True).split()
        os.environ['MASTER_ADDR'] = hosts[0]
    os.environ.setdefault('MASTER_PORT', '29500')  # as mmengine does
    torch.distributed.init_process_group('gloo')


class RankError(OSError):
    """Another process has failed, so this one cannot go on.

    Attributes:
        reason (str): ``Type: message`` of what it failed with; empty if it
            is gone.
    """

    def __init__(self, message: str, reason: str = '') -> None:
        super().__init__(message)
        self.reason = reason


def without_wrapper(model: nn.Module) -> nn.Module:
    """A model as it is without what shares it among processes."""
    return model.module if is_model_wrapper(model) else model


def reason(error: Exception) -> str:
    """``Type: message`` of an error, wherever it was raised."""
    if isinstance(error, RankError) and error.reason:
        return error.reason
    return f'{type(error).__name__}: {error}'


def agree(wish: T, error: BaseException | None = None) -> list[T]:
    """Exchange wishes, or fail on all processes if one has failed.

    Every process has to call it, so nothing between two calls may leave one
    behind.

    Args:
        wish: What this process says; small.
        error (Exception or Interrupted, optional): What went wrong on it.

    Returns:
        list: The wishes of all processes.

    Raises:
        Exception: ``error``.
        RankError: If another process has failed.
        Interrupted: If another was interrupted.
    """
    failure = error and (type(error).__name__, str(error))
    expected = RankError if error else ()  # the others may be gone already
    with suppress(expected), _noticing_the_gone():
        said = all_gather_object((wish, failure))
    if error:
        raise error
    for rank, (_, failure) in enumerate(said):
        if failure is None:
            continue
        kind, text = failure
        if kind == Interrupted.__name__:
            raise Interrupted(text)
        text = f'{kind}: {text}'
        raise RankError(f'Process {rank} failed with {text}', text)
    return [wish for wish, _ in said]


@contextmanager
def _noticing_the_gone() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankError(
            'Another process is gone without a word to this one: its own '
            'message says why, or it was killed or ran out of memory.'
        ) from error


@contextmanager
def together() -> Iterator[None]:
    """All processes leave the block, or all raise.

    A process that fails would leave the others waiting for it in their next
    exchange, for half an hour or for ever. All processes have to enter the
    block, and nothing in it may exchange with others.

    Raises:
        RankError: If another process has failed.
        Interrupted: If another was interrupted.
    """
    try:
        yield
    except (Exception, Interrupted) as error:
        agree(None, error)
    else:
        agree(None)


def on_main(function: Callable[..., T], *args, group=None) -> T:
    """What a function returns or raises on rank 0, on every rank.

    The others wait, as long as the group has patience. The result has to be
    picklable; an error that is not becomes a RankError elsewhere.
    """
    result, error = None, None
    if is_main_process():
        try:
            result = function(*args)
        except Exception as failure:
            error = failure
    result, told = _of_rank(0, (result, _portable(error)), group)
    if error or told:
        raise error or told
    return result


def from_each_rank(value: T) -> Iterator[T]:
    """What each rank gives, in their order, on every rank.

    One at a time, so that memory does not grow with their number.
    """
    for rank in range(get_world_size()):
        yield _of_rank(rank, value)


def _of_rank(rank: int, value: T, group=None) -> T:
    """What one rank gives, on every rank."""
    box = [value]
    with _noticing_the_gone():
        broadcast_object_list(box, rank, group)
    return box[0]


def _portable(error: Exception | None) -> Exception | None:
    """What other processes can raise."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of the error does there
        text = reason(error)
        return RankError(f'Process 0 failed with {text}', text)


def patient_group():
    """A group whose processes wait for each other for days; on CPU.

    For work that some have much more of than others. None if there is one
    process only.
    """
    if get_world_size() == 1:
        return None
    return torch.distributed.new_group(backend='gloo', timeout=PATIENCE)


def wait_for_all(group=None) -> None:
    """Until every process is here.

    Raises:
        RankError: If one has ended.
    """
    with _noticing_the_gone():
        barrier(group)
