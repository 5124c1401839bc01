"""Sharing an export among the processes of a launcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import torch
from mmengine.dist import get_dist_info

PATIENCE = timedelta(days=7)  # one process may have the large images


class Ranks:
    """The processes of an export; without a launcher there is one.

    An error ends its own process without waiting for the others: the
    launcher ends those.
    """

    def __init__(self) -> None:
        self.rank, self.world = get_dist_info()
        self._group = None
        if self.world > 1:
            self._group = torch.distributed.new_group(
                backend='gloo', timeout=PATIENCE
            )

    def on_main(self, function: Callable, *args):
        """What a function returns or raises on rank 0, on every rank."""
        if self.world == 1:
            return function(*args)
        outcome: list = [None, None]
        if self.rank == 0:
            try:
                outcome[0] = function(*args)
            except Exception as error:
                outcome[1] = error
        torch.distributed.broadcast_object_list(outcome, 0, group=self._group)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def share(self, items: Sequence) -> list:
        """This rank's part."""
        return list(items[self.rank :: self.world])

    def wait(self) -> None:
        """Until every rank is here.

        Raises:
            OSError: If one has ended.
        """
        if self.world == 1:
            return
        try:
            torch.distributed.barrier(group=self._group)
        except RuntimeError as error:
            raise OSError(
                'Another process of this export ended early; its own message '
                'says why.'
            ) from error
