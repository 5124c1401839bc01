"""Stopping between two images, not within one."""

from __future__ import annotations

import os
import signal
import threading

_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Interruption:
    """Lets an image be finished after Ctrl-C or SIGTERM.

    A second signal does not wait. Where the program has handlers of its own,
    or this is not the main thread, nothing changes.

    Raises:
        KeyboardInterrupt: After Ctrl-C, from :meth:`check`.
        SystemExit: After SIGTERM.
    """

    def __init__(self) -> None:
        self._before: dict[int, object] = {}
        self._received: int | None = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in _DEFAULTS:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise if there was a signal."""
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        if self._received is not None:
            raise SystemExit(128 + self._received)

    def _handle(self, number: int, _) -> None:
        self.check()
        self._received = number
        # print may not be called while it is itself interrupted.
        os.write(2, b'\nStopping after this image.\n')
