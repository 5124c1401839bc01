"""What was measured of each image, kept until the whole is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.fileio import (
    atomic_write,
    read_json,
    remove_temporary,
    require_writable_folder,
    write_json,
)

Part = dict[str, np.ndarray]
SETTING = 'setting.json'


def parts_folder(parts: Path, setting: dict, otherwise: str) -> Path:
    """A folder for the parts of one setting.

    Raises:
        ValueError: With the text ``otherwise`` if it holds those of another.
    """
    require_writable_folder(parts)
    remove_temporary(parts)
    file = parts / SETTING
    if file.exists():
        read_json(file, lambda there: there == setting, otherwise)
    else:
        write_json(file, setting)
    return parts


def file_stamp(*paths: str | None) -> str:
    """A name that is another one when a file has changed."""
    states = []
    for path in filter(None, paths):
        state = Path(path).stat() if Path(path).exists() else None
        states.append([path, state and [state.st_mtime_ns, state.st_size]])
    return digest(states)


def kept(file: Path, measure: Callable[[], Part]) -> Part:
    """What a file holds, measured and written first if there is none.

    So it is too if the file cannot be read, with a warning.
    """
    if file.exists():
        try:
            return _read(file)
        except Exception as error:  # whatever a decoder raises
            MMLogger.get_current_instance().warning(
                f'{file} is damaged and measured again: {reason(error)}'
            )
    part = measure()
    with atomic_write(file) as temporary, open(temporary, 'wb') as out:
        np.savez_compressed(out, **part)
    return _read(file)


def _read(file: Path) -> Part:
    with np.load(file, allow_pickle=False) as content:
        return dict(content)
