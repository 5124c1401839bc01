"""The state of a fit that can be interrupted, in a file."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch
from mmengine.dist import get_dist_info
from mmengine.logging import MMLogger

from mmseg_ddu.fileio import atomic_write, remove_temporary

from .checkpoint import plain
from .fit_sums import FitSums
from .stopping import Interrupted, StopRequest

FORMAT = 4


class SavedFit:
    """The state of an unfinished fit, one file for each process.

    The files stand in a folder ``<out stem>.unfinished`` beside the
    checkpoint that the fit is to write, and go when it is written.

    Args:
        out (Path): The checkpoint to be written.
        belongs (dict): Name to value of all that must be the same for the
            state to be used; plain types.
        every (float, optional): Seconds between two writes; None: only when
            the fit is stopped.
        resume (bool): Go on from the state that is there.

    Attributes:
        images (int): Done in the state on disk.
        stop (StopRequest): Heard between two images.

    Raises:
        ValueError: If ``every`` is not positive.
    """

    def __init__(
        self,
        out: Path,
        belongs: dict,
        every: float | None = None,
        resume: bool = False,
    ) -> None:
        if every is not None and every <= 0:
            raise ValueError(f'Expected save_every above 0, but got {every}.')
        rank, self.world = get_dist_info()
        self.folder = out.with_suffix('.unfinished')
        self.path = self.folder / f'rank{rank}of{self.world}.pt'
        self.belongs = plain(dict(belongs, format=FORMAT))
        self.every = every
        self.resume = resume
        self.images = 0
        self.stop = StopRequest()
        self._tried = time.monotonic()

    def restore(self, sums: FitSums) -> None:
        """Bring back what was seen.

        Without ``resume`` an old state is only reported.

        Raises:
            ValueError: If the state is damaged or belongs to another fit.
        """
        logger = MMLogger.get_current_instance()
        remove_temporary(self.folder)
        if not self.resume:
            if self.folder.is_dir():
                logger.warning(
                    f'{self.folder} holds the state of an unfinished fit. It '
                    'is not used and will be overwritten; --resume would go '
                    'on from it.'
                )
            return
        parts = self.folder.glob('rank*of*.pt')
        worlds = {int(path.stem.split('of')[1]) for path in parts}
        if worlds and self.world not in worlds:
            raise ValueError(
                f'The state in {self.folder} is of {min(worlds)} processes, '
                f'but there are {self.world} now. Start as many again, or '
                'start anew without --resume.'
            )
        if not self.path.is_file():
            logger.info(f'There is no {self.path}; starting from the first.')
            return
        state = self._read()
        sums.load_state_dict(state['sums'])
        self.images = len(sums.done)
        logger.info(f'Going on after {self.images} images.')

    def _read(self) -> dict:
        advice = 'Without --resume the fit starts anew.'
        try:
            state = torch.load(
                self.path, map_location='cpu', weights_only=True
            )
            found = dict(state['belongs'])
        except Exception as error:  # whatever a damaged file raises
            raise ValueError(
                f'{self.path} cannot be read as the state of a fit '
                f'({error}). {advice}'
            ) from error
        other = [
            f'{name} is {value!r} but was {found.get(name)!r}'
            for name, value in self.belongs.items()
            if found.get(name) != value
        ]
        if other:
            raise ValueError(
                f'{self.path} belongs to another fit: {"; ".join(other)}. '
                f'Give the arguments it was started with. {advice}'
            )
        return state

    def keep(self, sums: FitSums) -> None:
        """Write the state if the last time was long enough ago.

        Raises:
            Interrupted: If asked to stop, when it is written.
        """
        age = time.monotonic() - self._tried
        due = self.every is not None and age >= self.every
        if due or self.stop.made:
            self.write(sums)
            self._tried = time.monotonic()
        # Only now: the launcher may not have the patience to let the other
        # processes answer.
        if self.stop.made:
            raise Interrupted

    def write(self, sums: FitSums) -> None:
        """Write the state, whole or not at all.

        A disk that is full is a warning: the fit itself can go on.
        """
        images = len(sums.done)
        if images == self.images:
            return
        state = dict(belongs=self.belongs, sums=sums.state_dict())
        try:
            self.folder.mkdir(exist_ok=True)
            with atomic_write(self.path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:
            MMLogger.get_current_instance().warning(
                f'The state of the fit cannot be written ({error}).'
            )
        else:
            self.images = images

    def remove(self) -> None:
        """The fit is written: its state has served."""
        shutil.rmtree(self.folder, ignore_errors=True)
