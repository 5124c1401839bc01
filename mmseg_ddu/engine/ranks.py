"""Several processes that begin and end together."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from mmengine.dist import all_gather_object, init_dist, is_distributed

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
        os.environ.setdefault('MASTER_PORT', '29500')
    torch.distributed.init_process_group('gloo')


class RankError(ValueError):
    """Another process has failed, so this one cannot go on."""


class Interrupted(KeyboardInterrupt):
    """Asked to stop between two pieces of work, which are all whole."""


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
        with suppress(RuntimeError):  # the others may be gone already
            all_gather_object((type(error).__name__, str(error)))
        raise
    for rank, failure in enumerate(_news_of_all()):
        if failure is None:
            continue
        kind, text = failure
        if kind == Interrupted.__name__:
            raise Interrupted(text)
        raise RankError(f'Process {rank} failed with {kind}: {text}')


def _news_of_all() -> list[tuple[str, str] | None]:
    try:
        return all_gather_object(None)
    except RuntimeError as error:
        raise RankError(
            'Another process is gone without a word: it was killed, or ran '
            'out of memory.'
        ) from error
