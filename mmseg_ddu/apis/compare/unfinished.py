"""What a comparison has counted so far, on disk."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import (
    all_gather_object,
    get_dist_info,
    is_main_process,
    master_only,
)
from mmengine.logging import MMLogger

from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.engine.ranks import on_main
from mmseg_ddu.fileio import atomic_write

from .row_counts import RowCounts

FOLDER = 'unfinished'


class Unfinished:
    """What a group of methods has counted so far, on disk.

    Rank 0 writes one file with the counts of every rank. It may be read by
    any number of ranks; if it is the same number, every sum goes on where
    it was, and the figures are bit for bit those of a run without a stop.

    Args:
        out_dir (Path): Of the comparison.
        belongs_to: All that the counts depend on, in plain types; counts of
            anything else are never found.
        every (float): Seconds between two savings.
    """

    def __init__(self, out_dir: Path, belongs_to: Any, every: float) -> None:
        self.folder = out_dir / FOLDER / digest(belongs_to)
        self.every = every
        self.saved_at = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save; rank 0 has the clock."""
        waited = time.monotonic() - self.saved_at
        return is_main_process() and waited >= self.every

    def save(self, done: int, counts: RowCounts) -> None:
        """Write the counts of all ranks after ``done`` images of theirs.

        If that fails, as on a full disk, the measurement goes on.
        """
        parts = all_gather_object(counts.state_dict())
        if is_main_process():
            _write(self._path(counts), dict(done=done, parts=parts))
        self.saved_at = time.monotonic()

    def load(self, counts: RowCounts) -> int:
        """Add what was saved to new counts; how many images that were."""
        content = on_main(_read, self._path(counts))
        rank, world = get_dist_info()
        for part in content['parts'][rank::world]:
            counts.merge_state(part)
        self.saved_at = time.monotonic()
        return content['done']

    @master_only
    def remove(self) -> None:
        """Forget all of the group."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, counts: RowCounts) -> Path:
        return self.folder / f'{digest(counts.rows)}.pth'


def _write(path: Path, content: dict) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch raises the latter
        MMLogger.get_current_instance().warning(
            f'What was counted cannot be saved: {error}'
        )


def _read(path: Path) -> dict:
    if path.is_file():
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch raises what it likes
            MMLogger.get_current_instance().warning(
                f'{path} is damaged, and its methods start anew: {error}'
            )
    return dict(done=0, parts=[])
