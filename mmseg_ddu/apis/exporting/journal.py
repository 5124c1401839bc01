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

from mmengine.dist import get_rank

from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.fileio import atomic_write, remove_temporary, write_json

from .one_image import is_done

MANIFEST = 'manifest.json'
JOURNAL = 'manifest.jsonl'
MAX_LINE = 1 << 24
# Not compared: where things lie, and what is looked at in each row.
FREE = ('config', 'checkpoint', 'max_pixels')


class Journal:
    """What an export has done; open, it takes the rows of one process.

    Args:
        header (dict): What the manifest says of the export as a whole.
        files (Mapping[str, Path]): Name to image, of all images.
        writer (MapWriter): Of the maps.
    """

    def __init__(
        self, header: dict, files: Mapping[str, Path], writer: MapWriter
    ) -> None:
        self.header, self.files, self.writer = header, files, writer
        self.folder = writer.out_dir

    def __enter__(self) -> Journal:
        name = f'manifest.{get_rank()}.jsonl' if get_rank() else JOURNAL
        self._file = (self.folder / name).open('ab', buffering=0)
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def append(self, row: dict) -> None:
        """Put a row into the system's hands before the next image.

        Whole or, if that fails, not at all, nor are the files of the image.
        """
        start = self._file.tell()
        rest = _line(row)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            self._file.truncate(start)
            self.writer.remove(row['name'])
            raise

    def begin(self, resume: bool) -> list[tuple[str, Path]]:
        """Start with nothing, or with what an earlier run has done.

        Returns:
            list: Names and images that are still to do.
        """
        remove_temporary(self.folder)
        for file in self.writer.files('').values():
            folder = self.folder / Path(file).parts[0]
            if not folder.is_symlink():
                remove_temporary(folder, below=True)
        limit = self.header['max_pixels']
        done: dict[str, dict] = {}
        for row in _earlier_rows(self.folder, self.header) if resume else ():
            name = row.get('name')
            if not isinstance(name, str) or name in done:
                continue
            path = self.files.get(name)
            if path and is_done(row, path, self.writer, limit):
                done[name] = row
        with (
            atomic_write(self.folder / JOURNAL) as temporary,
            temporary.open('wb') as file,
        ):
            file.writelines(map(_line, [self.header, *done.values()]))
        for path in self.folder.glob('manifest.*.jsonl'):
            path.unlink()
        (self.folder / MANIFEST).unlink(missing_ok=True)
        return [item for item in self.files.items() if item[0] not in done]

    def finish(self) -> dict:
        """Write the manifest of all that is in the journals.

        If the disk is full, the last images are given up until there is room.

        Returns:
            dict: The manifest; ``complete`` if every image has its row.
        """
        rows = {row.get('name'): row for row in _rows(self.folder)}
        images = [rows[name] for name in self.files if name in rows]
        complete = len(images) == len(self.files)
        while True:
            bad = sum('error' in row for row in images)
            manifest = dict(
                complete=complete,
                **self.header,
                images=images,
                num_exported=len(images) - bad,
                num_skipped=bad,
            )
            try:
                write_json(self.folder / MANIFEST, manifest)
                break
            except OSError as error:
                if not (is_disk_full(error) and images):
                    raise
                complete = False
                self.writer.remove(images.pop()['name'])
        if complete:
            for path in _journals(self.folder):
                path.unlink()
        return manifest


def has_record(folder: Path) -> bool:
    """Whether an export, or a part of one, is described there."""
    return (folder / JOURNAL).is_file() or (folder / MANIFEST).is_file()


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that nothing more fits."""
    full = errno.ENOSPC, errno.EDQUOT
    return isinstance(error, OSError) and error.errno in full


def _earlier_rows(folder: Path, header: dict) -> Iterator[dict]:
    """Rows of an earlier run; nothing in them has been looked at."""
    if (folder / JOURNAL).is_file():
        path = folder / JOURNAL
        _require_same(path, next(_lines(path), {}), header)
        yield from _rows(folder)
    elif (folder / MANIFEST).is_file():
        path = folder / MANIFEST
        manifest = _parsed(path.read_bytes())
        _require_same(path, manifest, header)
        rows = manifest.get('images')
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                yield row


def _require_same(path: Path, found: dict, header: dict) -> None:
    if not found:
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


def _rows(folder: Path) -> Iterator[dict]:
    """All lines of all journals; the header has no name."""
    for path in _journals(folder):
        yield from _lines(path)


def _lines(path: Path) -> Iterator[dict]:
    with open(path, 'rb') as file:
        while line := file.readline(MAX_LINE):
            yield _parsed(line)


def _parsed(text: bytes) -> dict:
    """What a text says; nothing where it is cut off or damaged."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def _line(value: dict) -> bytes:
    return json.dumps(value).encode() + b'\n'
