"""The manifest of exported maps, checked before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.fileio import read_json

SCORES = ('epistemic', 'aleatoric')
MAX_SIDE = 1 << 16


def read_manifest(folder: Path) -> dict:
    """Read ``manifest.json``; files that it names lie in its folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, lists no image, or names files outside
            its folder.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no {path}; run tools/export_uncertainty.py first.'
        )
    damaged = f'{path} is damaged; export the maps again.'
    manifest = read_json(path, _is_manifest, damaged)
    rows = [row for row in manifest['images'] if 'files' in row]
    if not rows:
        raise ValueError(f'{path} lists no exported image.')
    for row in rows:
        for file in row['files'].values():
            if not (folder / file).resolve().is_relative_to(folder.resolve()):
                raise ValueError(f'{path} names {file}, outside its folder.')
    return manifest


def _is_manifest(manifest: Any) -> bool:
    maps = manifest.get('maps') if isinstance(manifest, dict) else None
    return (
        isinstance(maps, dict)
        and all(
            isinstance(maps.get(score), dict)
            and isinstance(maps[score].get('unit'), str)
            for score in SCORES
        )
        and _all(manifest.get('classes'), lambda name: isinstance(name, str))
        and _all(manifest.get('palette', []), _is_color)
        and _all(manifest.get('images'), _is_row)
    )


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if 'files' not in row:
        return True
    files = row['files']
    return (
        isinstance(files, dict)
        and {'class', *SCORES} <= set(files)
        and all(isinstance(file, str) for file in files.values())
        and Path(files['class']).parts[:1] == ('class',)
        and isinstance(row.get('image'), str)
        and all(_is_side(row.get(key)) for key in ('height', 'width'))
        and all(_is_number(row.get(f'{key}_mean')) for key in SCORES)
        and _is_number(row.get('unusual_share', 0))
    )


def _all(value: Any, check: Any) -> bool:
    return isinstance(value, list) and all(map(check, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIDE


def _is_color(value: Any) -> bool:
    levels = isinstance(value, list) and len(value) == 3
    return levels and all(type(v) is int and 0 <= v <= 255 for v in value)
