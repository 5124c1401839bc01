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

from mmseg_ddu.apis.kept_parts import require_same
from mmseg_ddu.apis.writers import MapWriter
from mmseg_ddu.fileio import (
    atomic_write,
    json_object,
    remove_temporary,
    write_json,
)

from .one_image import is_done

MANIFEST = 'manifest.json'
JOURNAL = 'manifest.jsonl'
# Not compared: where things lie, and what is looked at in each row.
FREE = ('config', 'checkpoint', 'checkpoint_sha256', 'max_pixels')


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

        Raises:
            ValueError: If that is damaged, or was done with other settings.
        """
        remove_temporary(self.folder)
        files = self.writer.files('').values()
        for folder in {self.folder / Path(file).parts[0] for file in files}:
            if not folder.is_symlink():
                remove_temporary(folder, below=True)
        done: dict[str, dict] = {}
        if resume and has_record(self.folder):
            first, *rows = _records(self.folder)
            if not first:
                raise ValueError(
                    f'The record of the export in {self.folder} is damaged, '
                    'so it cannot be resumed; start it again with --overwrite.'
                )
            require_same(first, self.header, self.folder, FREE)
            limit = self.header['max_pixels']
            done = {
                row['name']: row
                for row in rows
                if is_done(row, self.files, self.writer, limit)
            }
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
        rows = {row.get('name'): row for row in _records(self.folder)}
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


def _records(folder: Path) -> Iterator[dict]:
    """What is said of an export as a whole, then of images.

    Nothing in it has been looked at; what is damaged is an empty dict.
    """
    if (folder / JOURNAL).is_file():
        for path in _journals(folder):
            yield from map(json_object, path.read_bytes().split(b'\n'))
        return
    manifest = json_object((folder / MANIFEST).read_bytes())
    yield manifest
    rows = manifest.get('images')
    for row in rows if isinstance(rows, list) else ():
        yield row if isinstance(row, dict) else {}


def _journals(folder: Path) -> list[Path]:
    """That of the main process first."""
    found = [folder / JOURNAL, *sorted(folder.glob('manifest.*.jsonl'))]
    return [path for path in found if path.is_file()]


def _line(value: dict) -> bytes:
    return json.dumps(value).encode() + b'\n'
