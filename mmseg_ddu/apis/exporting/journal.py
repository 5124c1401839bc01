"""The journal of an export at work, which becomes the manifest.

While an export runs, ``manifest.jsonl`` holds what the manifest says of the
export as a whole in its first line, and then a line per image; further
processes write lines into ``manifest.1.jsonl`` and so on. At the end they
become ``manifest.json``, and if nothing is missing they go.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.fileio import atomic_write, remove_temporary, write_json

from .manifest import MANIFEST, still_good

JOURNAL = 'manifest.jsonl'
MAX_LINE = 1 << 24
# Not compared: where things lie, and what is looked at in each row.
FREE = ('config', 'checkpoint', 'max_pixels')


class Journal:
    """Appends rows, each in the system's hands before the next image."""

    def __init__(self, folder: Path, rank: int = 0) -> None:
        name = JOURNAL if rank == 0 else f'manifest.{rank}.jsonl'
        self._file = (folder / name).open('ab', buffering=0)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def append(self, row: dict) -> None:
        """Add a row, whole or, if that fails, not at all."""
        start = self._file.tell()
        rest = _line(row)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            self._file.truncate(start)
            raise


def has_record(folder: Path) -> bool:
    """Whether an export, or a part of one, is described there."""
    return (folder / JOURNAL).is_file() or (folder / MANIFEST).is_file()


def begin(
    header: dict, files: Mapping[str, Path], writer: MapWriter, resume: bool
) -> list[tuple[str, Path]]:
    """Start a journal, with what an earlier run has done if it goes on.

    Args:
        header (dict): What the manifest says of the export as a whole.
        files (Mapping[str, Path]): Name to image.
        writer (MapWriter): Of the maps.
        resume (bool): Go on with what is in the folder.

    Returns:
        list: Names and images that are still to do.
    """
    folder = writer.out_dir
    remove_temporary(folder)
    for key in writer.folders():
        if not (folder / key).is_symlink():
            remove_temporary(folder / key, below=True)
    done: set[str] = set()
    with (
        atomic_write(folder / JOURNAL) as temporary,
        temporary.open('wb') as journal,
    ):
        journal.write(_line(header))
        for row in _earlier_rows(folder, header) if resume else ():
            name = row.get('name') if isinstance(row, dict) else None
            if not isinstance(name, str) or name in done or name not in files:
                continue
            if still_good(row, files[name], writer, header['max_pixels']):
                journal.write(_line(row))
                done.add(name)
    for path in folder.glob('manifest.*.jsonl'):
        path.unlink()
    (folder / MANIFEST).unlink(missing_ok=True)
    return [item for item in files.items() if item[0] not in done]


def finish(header: dict, files: Mapping[str, Path], writer: MapWriter) -> dict:
    """Write the manifest of all that is in the journals.

    If the disk is full, the last images are given up until there is room.

    Returns:
        dict: The manifest; ``complete`` if every image has its row.
    """
    folder = writer.out_dir
    rows = {row['name']: row for row in _rows(folder) if 'name' in row}
    manifest = dict(complete=len(rows) == len(files), **header)
    manifest['images'] = [rows[name] for name in files if name in rows]
    while True:
        bad = sum('error' in row for row in manifest['images'])
        manifest['num_exported'] = len(manifest['images']) - bad
        manifest['num_skipped'] = bad
        try:
            write_json(folder / MANIFEST, manifest)
            break
        except OSError as error:
            if not (is_disk_full(error) and manifest['images']):
                raise
            manifest['complete'] = False
            writer.remove(manifest['images'].pop()['name'])
    if manifest['complete']:
        for path in _journals(folder):
            path.unlink()
    return manifest


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that nothing more fits."""
    full = errno.ENOSPC, errno.EDQUOT
    return isinstance(error, OSError) and error.errno in full


def _earlier_rows(folder: Path, header: dict) -> Iterator[Any]:
    """Rows of an earlier run; nothing in them has been looked at."""
    if not has_record(folder):
        return
    path = folder / JOURNAL
    if path.is_file():
        _require_same(path, next(_lines(path), None), header)
        yield from _rows(folder)
        return
    path = folder / MANIFEST
    found = _parsed(path.read_bytes())
    _require_same(path, found, header)
    rows = found.get('images')
    yield from rows if isinstance(rows, list) else ()


def _require_same(path: Path, found: Any, header: dict) -> None:
    if not isinstance(found, dict):
        raise ValueError(
            f'{path} is damaged, so the export cannot be resumed; start it '
            'again with --overwrite.'
        )
    different = [
        f'{key} (was {json.dumps(found.get(key))[:80]}, now '
        f'{json.dumps(value)[:80]})'
        for key, value in header.items()
        if key not in FREE and found.get(key) != value
    ]
    if different:
        raise ValueError(
            f'The export in {path.parent} was made with other settings: '
            f'{"; ".join(different)}. Resume it with the same ones, or start '
            'again with --overwrite or in another folder.'
        )


def _journals(folder: Path) -> list[Path]:
    """That of the main process first."""
    found = [folder / JOURNAL, *sorted(folder.glob('manifest.*.jsonl'))]
    return [path for path in found if path.is_file()]


def _rows(folder: Path) -> Iterator[Any]:
    for path in _journals(folder):
        lines = _lines(path)
        if path.name == JOURNAL:
            next(lines, None)
        yield from (row for row in lines if row is not None)


def _lines(path: Path) -> Iterator[Any]:
    """What each line says, None for one that is cut off or damaged."""
    with open(path, 'rb') as file:
        while line := file.readline(MAX_LINE):
            yield _parsed(line)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _line(value: dict) -> bytes:
    return json.dumps(value).encode() + b'\n'
