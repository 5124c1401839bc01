"""What was measured of each image, kept until the whole is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
MOST = 12  # differences that are named


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


def require_same(
    found: dict, settings: dict, where: Path, free: Sequence[str]
) -> None:
    """Refuse to go on with what was done with other settings.

    Those of ``free`` may be others.

    Raises:
        ValueError: That names them.
    """
    was = _entries({key: found.get(key) for key in settings})
    now = _entries(settings)
    different = [
        f'{key} (was {json.dumps(was.get(key))[:80]}, now '
        f'{json.dumps(now.get(key))[:80]})'
        for key in {**was, **now}
        if key not in free and was.get(key) != now.get(key)
    ]
    if len(different) > MOST:
        different[MOST:] = [f'{len(different) - MOST:,} more']
    if different:
        raise ValueError(
            f'{where} was made with other settings: {"; ".join(different)}. '
            'Resume it with the same ones, or start again with --overwrite '
            'or in another folder.'
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
