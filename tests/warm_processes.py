"""Clean processes of their own that have everything imported already."""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import mmseg.datasets  # noqa: F401
import torch
from yapf.yapflib import yapf_api

import mmseg_ddu.apis  # noqa: F401
from tests.conftest import ROOT, without_layout

gc.freeze()  # nothing of it is garbage
TIMEOUT = 600  # seconds, on a machine that does much else


def start(
    function: Callable,
    *args,
    cwd: Path,
    out: Path,
    err: Path,
    env: dict,
    method: str = 'forkserver',
) -> BaseProcess:
    """Call ``function(*args)`` as a new interpreter would.

    It is forked from a process that has imported what this file imports and
    has done nothing else.

    Args:
        function (Callable): Of a module.
        args: For the function.
        cwd (Path): Working directory.
        out (Path): File for what is printed.
        err (Path): The same for errors; may be the same file.
        env (dict): All of its environment.
        method (str): Or ``fork``, from this process, if it was started so.
    """
    context = multiprocessing.get_context(method)
    if method == 'forkserver':
        context.set_forkserver_preload([__name__])
        with patch.dict(os.environ, PYTHONPATH=str(ROOT)):
            forkserver.ensure_running()
    work = (function, args, str(cwd), (str(out), str(err)), env)
    process = context.Process(target=_begin, args=work)
    process.start()
    return process


def _begin(function, args, cwd, files, env) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, flags), number)
    torch.set_num_threads(1)
    yapf_api.FormatCode = without_layout
    function(*args)


def end(process: BaseProcess) -> int | None:
    """Its exit code, or None if it had to be stopped."""
    process.join(TIMEOUT)
    code = process.exitcode
    if code is None:
        process.kill()
    return code


def run_script(path: str, *args: str) -> None:
    """What ``python path args`` does."""
    sys.argv = [path, *args]
    sys.path.insert(0, str(Path(path).resolve().parent))
    runpy.run_path(path, run_name='__main__')


def run_module(name: str, *args: str) -> None:
    """What ``python -m name args`` does."""
    sys.argv = [name, *args]
    runpy.run_module(name, run_name='__main__', alter_sys=True)


def call(
    function: Callable,
    *args,
    cwd: Path = ROOT,
    ranks: int = 1,
    method: str = 'forkserver',
    **env,
) -> subprocess.CompletedProcess:
    """Call a function in a process, or in several as torchrun does.

    Args:
        function (Callable): Of a module, as :func:`run_script`.
        args: For the function, as text.
        cwd (Path): Working directory.
        ranks (int): Number of processes.
        method (str): As for :func:`start`.
        env: Environment besides that of the caller.

    Returns:
        CompletedProcess: Exit code (the largest), output and errors.
    """
    words = [str(arg) for arg in args]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, 'out'), Path(folder, 'err')
        processes = [
            start(
                function,
                *words,
                cwd=cwd,
                out=out,
                err=err,
                env={**os.environ, **env, **group},
                method=method,
            )
            for group in _groups(ranks)
        ]
        codes = [end(process) for process in processes]
        if None in codes:
            raise TimeoutError(f'{words} hangs: {err.read_text()}')
        printed = out.read_text(), err.read_text()
    return subprocess.CompletedProcess(words, max(codes, key=abs), *printed)


def _groups(ranks: int) -> list[dict]:
    """What torchrun puts into the environments of its processes."""
    if ranks == 1:
        return [{}]
    shared = dict(
        MASTER_ADDR='localhost',
        MASTER_PORT=str(free_port()),
        WORLD_SIZE=str(ranks),
        LOCAL_WORLD_SIZE=str(ranks),
        OMP_NUM_THREADS='1',
    )
    return [
        dict(shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(ranks)
    ]


def free_port() -> int:
    """One that nobody listens to."""
    with socket.socket() as server:
        server.bind(('localhost', 0))
        return server.getsockname()[1]
