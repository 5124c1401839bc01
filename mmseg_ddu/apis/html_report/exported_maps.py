"""A folder of exported maps, which may come from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.fileio import read_json
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE

# By which images are sorted, from the most telling on.
ORDERS = (
    'unusual_share',
    NOVELTY,
    'total_mean',
    'epistemic_mean',
    'aleatoric_mean',
)
MAX_SIDE = 1 << 16


@dataclass
class Export:
    """A folder that ``tools/export_uncertainty.py`` wrote.

    Attributes:
        rows (dict[str, dict]): Path of the class map to the row.
    """

    name: str
    folder: Path
    manifest: dict
    rows: dict[str, dict]

    def score(self, key: str) -> float:
        """The image score by which the most unusual images are first."""
        row = self.rows[key]
        return next(row[order] for order in ORDERS if order in row)

    def load(self, key: str, what: str) -> np.ndarray:
        """The classes or a map of an image, (H, W)."""
        row = self.rows[key]
        file = row['files'].get(what)
        if file is None:
            raise ValueError(
                f'{self.folder} holds no {what} of {key}; export with '
                '--formats npy.'
            )
        path = (self.folder / file).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise ValueError(
                f'{self.folder / MANIFEST} names {file}, outside its folder.'
            )
        if not path.is_file():
            raise FileNotFoundError(
                f'{self.folder / MANIFEST} names {file}, but it is not '
                'there; export the maps again.'
            )
        if path.suffix == '.npy':
            # Mapped, so that its header cannot ask for memory.
            values = np.load(path, 'r', allow_pickle=False)
        else:
            with Image.open(path) as opened:
                values = np.asarray(opened)
        if values.shape != (row['height'], row['width']):
            raise ValueError(
                f'{path} is not of the size that {MANIFEST} says; export the '
                'maps again.'
            )
        return values


def read_export(name: str, folder: Path) -> Export:
    """Read a manifest and check it.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or lists no image.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no {path}; run tools/export_uncertainty.py first.'
        )
    damaged = f'{path} is damaged; export the maps again.'
    manifest = read_json(path, _is_sound, damaged)
    rows = [row for row in manifest['images'] if 'files' in row]
    if not rows:
        raise ValueError(f'{path} lists no exported image.')
    by_class = {row['files']['class']: row for row in rows}
    return Export(name, folder, manifest, by_class)


def _is_sound(manifest: dict) -> bool:
    """Whether there is all that a report reads, of its type."""
    colors, scales = manifest['palette'], manifest['maps']
    return (
        set(MAPS) <= set(scales)
        and all(
            isinstance(scale['unit'], str)
            and _are_numbers(scale['png_low'], scale['png_high'])
            for scale in scales.values()
        )
        and all(isinstance(name, str) for name in manifest['classes'])
        and all(
            len(color) == 3 and set(color) <= set(range(256))
            for color in colors
        )
        and all(_is_row(row) for row in manifest['images'])
    )


def _is_row(row: dict) -> bool:
    """Whether it is of an image that was left out, or has what is read."""
    if 'files' not in row:
        return True
    known = (*ORDERS, NOVELTY + PERCENTILE, 'height', 'width')
    return (
        isinstance(row['image'], str)
        and all(isinstance(file, str) for file in row['files'].values())
        and Path(row['files']['class']).parts[0] == 'class'
        and all(f'{name}_mean' in row for name in MAPS)
        and _are_numbers(*(row[key] for key in known if key in row))
        and 1 <= row['height'] <= MAX_SIDE
        and 1 <= row['width'] <= MAX_SIDE
    )


def _are_numbers(*values: object) -> bool:
    return all(type(value) in (int, float) for value in values)
