"""Names of outputs: as those of the inputs, and never one for two."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path, PurePath

from mmseg_ddu.fileio import TEMPORARY

from .writers import FORMATS

MAX_PART = 255  # bytes; file systems allow no more
MAX_NAME = 1000
_CUT = 200  # bytes kept of a name that is too long


def output_names(
    relative: Sequence[PurePath], files: Sequence[Path]
) -> Iterator[str]:
    """A name for each input, without suffix where that is unambiguous.

    Upper and lower case, and the ways to encode an accent, count as the
    same, as some file systems have it. Where a name would be too long, or
    its files those of an earlier image, it is the file's own name with a
    digest of the path behind, without folders.

    Args:
        relative (Sequence[PurePath]): Where each input lies below the
            folder that was given, or its name.
        files (Sequence[Path]): The same, as unique paths.
    """
    endings = {kind.ending for kind in FORMATS.values()}
    longest = MAX_PART - max(map(len, endings))
    relative = [path if path.name else PurePath('image') for path in relative]
    stems = Counter(_key(path.with_suffix('')) for path in relative)
    taken_files: set[str] = set()
    taken_folders: set[str] = set()
    for path, file in zip(relative, files):
        stem = path.with_suffix('')
        name = str(path if stems[_key(stem)] > 1 else stem)
        for salt in count():
            key = _key(name)
            outputs = {key + ending for ending in endings}
            folders = {str(parent) for parent in PurePath(key).parents}
            if (
                _fits(name, longest)
                and outputs.isdisjoint(taken_files)
                and outputs.isdisjoint(taken_folders)
                and folders.isdisjoint(taken_files)
            ):
                break
            name = _with_digest(path.name, f'{salt} {file}')
        taken_files |= outputs
        taken_folders |= folders
        yield name


def _key(name: str | PurePath) -> str:
    folded = unicodedata.normalize('NFC', str(name)).casefold()
    return unicodedata.normalize('NFC', folded)


def _fits(name: str, longest: int) -> bool:
    if PurePath(name).name.startswith(TEMPORARY):  # would be cleaned up
        return False
    parts = [len(os.fsencode(part)) for part in PurePath(name).parts]
    return max(parts, default=0) <= longest and sum(parts) <= MAX_NAME


def _with_digest(name: str, text: str) -> str:
    kept = os.fsencode(name.lstrip('.'))[:_CUT].decode('utf-8', 'ignore')
    return f'{kept}~{hashlib.sha256(os.fsencode(text)).hexdigest()[:12]}'
