"""How a tool ends that cannot even start; import this before the rest.

``mmseg_ddu.apis.cli.run`` sees to errors, but needs torch and mmseg itself.
Where one of them is missing or broken, Python would end with exit code 1,
which says of a tool that it is done and left something out.
"""

from __future__ import annotations

import os
import sys
import traceback

UNEXPECTED_ERROR = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
DEBUG = 'MMSEG_DDU_TRACEBACK'


def tell_unexpected(error: BaseException) -> int:
    """One line about an error that nobody thought of; the exit code."""
    kind = type(error).__name__
    text = ' '.join(str(error).split()) or 'no message'
    print(
        f'unexpected error: {kind}: {text:.500} (--debug shows where)',
        file=sys.stderr,
    )
    return UNEXPECTED_ERROR


def print_last(text: str = '') -> None:
    """Print to the end, also if nobody reads it any more (``| head``)."""
    try:
        print(text, end='', flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(kind: type, error: BaseException, place: object) -> None:
    """Of no use once ``cli.run`` runs, which lets no error through."""
    if issubclass(kind, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    if os.environ.get(DEBUG) or '--debug' in sys.argv:
        traceback.print_exception(error)
    sys.exit(tell_unexpected(error))


sys.excepthook = _end
