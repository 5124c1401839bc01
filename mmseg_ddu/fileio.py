"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

TEMPORARY = '.tmp-'
LOCK = '.lock'
_NOT_SOUND = (
    *(AttributeError, LookupError, RecursionError, TypeError),
    ValueError,
)
_LEFT_OVER = re.compile(re.escape(TEMPORARY) + r'[a-z0-9_]{8}(\.\w+)?')


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end.

    After an exception, Ctrl-C included, an old file is as it was and the
    temporary one is gone.

    Yields:
        Path: Where to write; it keeps the suffix of ``path``.

    Raises:
        IsADirectoryError: If ``path`` is a folder.
    """
    path = Path(path)
    _require_no_folder(path)
    name = f'{TEMPORARY}{secrets.token_hex(4)}{path.suffix}'
    temporary = path.with_name(name)
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Raise BlockingIOError if another process is at work on a file.

    Or on a folder, which has to be there. The lock is a hidden file beside
    the file, or in the folder; it stays, and is free again however the
    process ends.
    """
    where, remedy = path.with_name(f'.{path.name}{LOCK}'), ''
    if path.is_dir():
        where, remedy = path / LOCK, ', or choose another folder'
    try:
        lock = FileLock(str(where)).acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError(
            f'Another process is at work on {path}. Wait until it has ended'
            f'{remedy}.'
        ) from error
    with lock:
        yield


def remove_temporary(folder: str | os.PathLike, below: bool = False) -> None:
    """Remove what a killed :func:`atomic_write` left in a folder.

    Args:
        folder (str): Need not exist.
        below (bool): Also in the folders in it; links are not followed.
    """
    for root, folders, names in os.walk(folder):
        if not below:
            folders.clear()
        for name in names:
            if _LEFT_OVER.fullmatch(name):
                Path(root, name).unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + '\n')


def parse_json(text: str | bytes) -> Any:
    """JSON that anybody may have written; ValueError if it is none.

    A whole number beyond 64 bits is a float, if need be infinite, so that
    whoever computes with it gets no OverflowError.
    """
    try:
        return json.loads(
            text, parse_int=lambda s: int(s) if len(s) < 19 else float(s)
        )
    except RecursionError as error:
        raise ValueError('It is nested too deeply.') from error


def json_object(text: str | bytes) -> dict:
    """A JSON object that anybody may have written; empty if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def read_json(
    path: Path, is_sound: Callable[[Any], bool], otherwise: str
) -> Any:
    """Read JSON that anybody may have written.

    Args:
        is_sound (Callable): Whether it says what it should; may take it
            for granted that values are of the right types.
        otherwise (str): Message of the error.

    Raises:
        ValueError: If it is no JSON, or not sound.
    """
    try:
        value = parse_json(path.read_text())
        if is_sound(value):
            return value
    except _NOT_SOUND:
        pass
    raise ValueError(otherwise)


def sha256(path: str | os.PathLike) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_writable_folder(path: str | os.PathLike) -> Path:
    """Create a folder and make sure a file can be written into it.

    Raises:
        OSError: That names the folder and what to do.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(
            f'Cannot write into {path}: {error.strerror}. Choose another '
            'folder, or change its permissions.'
        ) from error
    return path


def require_writable_file(path: str | os.PathLike) -> None:
    """Make sure a file can be written, with the folder it lies in.

    Raises:
        OSError: That names the folder and what to do.
    """
    path = Path(path)
    _require_no_folder(path)
    require_writable_folder(path.parent)


def _require_no_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(
            f'Cannot write the file {path}: it is a folder. Name a file in it.'
        )


def printable(value: Any) -> str:
    """As text; file names may hold bytes that are none."""
    return str(value).encode('utf-8', 'backslashreplace').decode()
