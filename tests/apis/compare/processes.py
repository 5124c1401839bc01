"""Forked children that take part in a comparison, and may die."""

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from datetime import timedelta
from pathlib import Path

import cv2
from torch import distributed

PATIENCE = 600  # seconds; for machines that do much else


def forked(function, *args):
    """Start a child; its result or error is for :func:`outcome`."""
    handle, name = tempfile.mkstemp()
    os.close(handle)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid, Path(name)
    cv2.setNumThreads(0)
    try:
        try:
            result = function(*args)
        except BaseException as error:
            traceback.print_exc()
            result = f'{type(error).__name__}: {error}'
        Path(name).write_bytes(pickle.dumps(result))
        sys.stderr.flush()
    finally:
        os._exit(0)


def outcome(child):
    """What a child returned; None if it was killed."""
    pid, file = child
    end = time.monotonic() + PATIENCE
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError('the child hangs')
            time.sleep(0.02)
        content = file.read_bytes()
        return pickle.loads(content) if content else None
    finally:
        file.unlink()


def ranks(world, function, *args):
    """Outcomes of ``function(rank, *args)`` in processes joined by gloo."""
    with tempfile.TemporaryDirectory() as folder:

        def member(rank):
            distributed.init_process_group(
                'gloo',
                init_method=f'file://{folder}/meet',
                rank=rank,
                world_size=world,
                timeout=timedelta(seconds=PATIENCE // 2),
            )
            return function(rank, *args)

        children = [forked(member, rank) for rank in range(world)]
        results = []
        for child in children:
            with contextlib.suppress(AssertionError):
                results.append(outcome(child))
        assert len(results) == world, 'a rank hangs'
        return results
