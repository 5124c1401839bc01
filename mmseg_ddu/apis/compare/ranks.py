"""Several processes that stay together, whatever happens on one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    is_main_process,
)

T = TypeVar('T')


class RankError(OSError):
    """What failed on another rank, as ``Type: message``."""


def reason(error: Exception) -> str:
    """``Type: message`` of an error, wherever it was raised."""
    if isinstance(error, RankError):
        return str(error)
    return f'{type(error).__name__}: {error}'


def agree(error: Exception | None, wish: T) -> list[T]:
    """Exchange wishes, or fail on all ranks if one has failed.

    Every rank has to call it, so nothing between two calls may leave one
    rank behind.

    Args:
        error (Exception, optional): What went wrong on this rank.
        wish: What this rank says; small.

    Returns:
        list: The wishes of all ranks.

    Raises:
        Exception: ``error``, or RankError if it was on another rank.
    """
    said = all_gather_object((error and reason(error), wish))
    if error is not None:
        raise error
    for text, _ in said:
        if text is not None:
            raise RankError(text)
    return [wish for _, wish in said]


def together(function: Callable[..., T], *args) -> T:
    """Call on every rank; if it fails on one, it fails on all."""
    result: T
    failed = None
    try:
        result = function(*args)
    except Exception as error:
        failed = error
    agree(failed, None)
    return result


def on_main(function: Callable[..., T], *args) -> T:
    """Call on rank 0 alone; its result, or its error, is everyone's.

    The others wait. The result has to be picklable.
    """
    if is_main_process():
        box = [together(function, *args)]
    else:
        box = [together(lambda: None)]
    broadcast_object_list(box)
    return box[0]
