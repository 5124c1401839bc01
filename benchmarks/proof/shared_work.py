"""Files that several processes make together, each file by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from mmseg_ddu.fileio import alone_at

PAUSE = 2.0  # seconds until files of other processes are looked for again


def share(work: Mapping[Path, Callable[[], object]]) -> None:
    """Make all files that are not there.

    One that another process makes is passed over, and looked at again in the
    end: it may be there, or that process may have been stopped.

    Args:
        work (Mapping): File to what makes it; its folder has to be there.
    """
    left = dict(work)
    while left:
        for file in [*left]:
            with ExitStack() as stack:
                try:
                    stack.enter_context(alone_at(file))
                except BlockingIOError:
                    continue
                make = left.pop(file)
                if not file.exists():
                    make()
        if left:
            time.sleep(PAUSE)
