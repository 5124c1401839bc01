"""Windows that are done, as files, until they are put together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mmseg_ddu.fileio import (
    NOT_SOUND,
    atomic_write,
    remove_temporary,
    write_json,
)

from .raster_file import tiff_bytes
from .window_grid import Tile

SETTINGS = 'settings.json'
MOST = 12  # differences that are named
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
            try:
                found = json.loads(file.read_text())
            except NOT_SOUND:
                found = {}
            require_same(found, self.settings, self.folder)
            remove_temporary(self.folder)
            return
        self.remove()
        self.folder.mkdir()
        write_json(file, self.settings)

    def path(self, tile: Tile) -> Path:
        return self.folder / f'{tile.rows.start}_{tile.columns.start}.tif'

    def has(self, tile: Tile) -> bool:
        """Whether it is there, and not cut off as by a loss of power."""
        path = self.path(tile)
        pixels = np.prod([s.stop - s.start for s in tile[2:]], dtype=int)
        whole = self.bands * 4 * pixels
        return path.is_file() and path.stat().st_size > whole

    def write(self, tile: Tile, values: np.ndarray) -> None:
        """Keep the inner part of (bands, h, w), of the whole window."""
        rows, columns = tile.inside
        kept = values[:, rows, columns]
        with atomic_write(self.path(tile)) as temporary:
            temporary.write_bytes(tiff_bytes(kept, interleave='band'))

    def sources(self, tiles: Iterable[Tile]) -> Iterator[tuple[str, Tile]]:
        """Names of the files, and where they lie."""
        return (
            (self.path(tile).name, tile) for tile in tiles if self.has(tile)
        )

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def require_same(found: dict, settings: dict, where: Path) -> None:
    """Refuse to go on with what was done with other settings.

    Raises:
        ValueError: That names them.
    """
    was = _entries({key: found.get(key) for key in settings})
    now = _entries(settings)
    different = [
        f'{key} (was {json.dumps(was.get(key))[:80]}, now '
        f'{json.dumps(now.get(key))[:80]})'
        for key in {**was, **now}
        if key not in FREE and was.get(key) != now.get(key)
    ]
    if len(different) > MOST:
        different[MOST:] = [f'{len(different) - MOST:,} more']
    if different:
        raise ValueError(
            f'{where} was made with other settings: {"; ".join(different)}. '
            'Resume it with the same ones, or start again with --overwrite.'
        )


def _entries(settings: dict) -> dict:
    """Settings, those in groups by name and group."""
    flat = {}
    for key, value in settings.items():
        group = value if isinstance(value, dict) else {}
        flat.update({f'{key} {name}': each for name, each in group.items()})
        if not group:
            flat[key] = value
    return flat
