"""Windows that are done, as files, until they are put together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from mmseg_ddu.apis.kept_parts import require_same
from mmseg_ddu.fileio import (
    atomic_write,
    json_object,
    remove_temporary,
    write_json,
)

from .raster_file import tiff_bytes
from .window_grid import Tile

SETTINGS = 'settings.json'
FREE = ('checkpoint',)  # may be moved


class FinishedWindows:
    """The folder of a raster at work: one TIFF for each window.

    Each is written whole or not at all, so it is its own record. Windows
    without a pixel have none.

    Args:
        folder (Path): For nothing else.
        settings (dict): All that determines what is in it.
        bands (int): Of each file.
    """

    def __init__(self, folder: Path, settings: dict, bands: int) -> None:
        self.folder, self.settings, self.bands = folder, settings, bands

    def begin(self, resume: bool) -> None:
        """Start with nothing, or with what an earlier run has done.

        Raises:
            ValueError: If that was done with other settings.
        """
        file = self.folder / SETTINGS
        if resume and file.is_file():
            found = json_object(file.read_bytes())
            require_same(found, self.settings, self.folder, FREE)
            remove_temporary(self.folder)
            return
        self.remove()
        self.folder.mkdir()
        write_json(file, self.settings)

    def has(self, tile: Tile) -> bool:
        """Whether it is there, and not cut off as by a loss of power."""
        path = self.folder / tile.name
        pixels = np.prod([s.stop - s.start for s in tile[2:]], dtype=int)
        whole = self.bands * 4 * pixels
        return path.is_file() and path.stat().st_size > whole

    def write(self, tile: Tile, values: np.ndarray) -> None:
        """Keep the inner part of (bands, h, w), of the whole window."""
        rows, columns = tile.inside
        kept = values[:, rows, columns]
        with atomic_write(self.folder / tile.name) as temporary:
            temporary.write_bytes(tiff_bytes(kept, interleave='band'))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
