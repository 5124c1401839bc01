"""Several processes that stop together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.dist import all_gather_object


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
