"""A folder of exported maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.apis.exporting import MANIFEST, read_manifest
from mmseg_ddu.models.map_names import NOVELTY

# By which images are sorted, from the most telling on.
ORDERS = (
    'unusual_share',
    NOVELTY,
    'total_mean',
    'epistemic_mean',
    'aleatoric_mean',
)


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
        path = self.folder / file
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
    """Read a manifest and check it."""
    manifest = read_manifest(folder)
    rows = {
        row['files']['class']: row
        for row in manifest['images']
        if 'files' in row
    }
    return Export(name, folder, manifest, rows)
