"""Ctrl-C and SIGTERM between two images, not within one."""

from __future__ import annotations

import os
import signal
import threading

DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Interrupted(KeyboardInterrupt):
    """Asked to stop between two pieces of work, which are all whole.

    Its text says what is saved and how to go on.
    """


class StopRequest:
    """Ctrl-C and SIGTERM as a question that is asked between two images.

    A second signal does not wait: it raises KeyboardInterrupt. Where the
    program has handlers of its own, or outside the main thread, where Python
    takes no signals, nothing changes.

    Attributes:
        made (bool): Whether a signal has come within the ``with`` block.
    """

    def __init__(self) -> None:
        self.made = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in DEFAULTS:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
        # print may not be called while it is itself interrupted.
        os.write(2, b'\nStopping after this image.\n')
