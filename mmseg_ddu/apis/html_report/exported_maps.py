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
        name (str): What the page calls it.
        folder (Path): Where it is.
        manifest (dict): What it says.
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

    def load(self, key: str, what: str) -> np.ndarray | None:
        """A map (H, W) of an image, None if it was not exported."""
        row = self.rows[key]
        file = row['files'].get(what)
        if file is None:
            return None
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

    def score_map(self, key: str, name: str) -> np.ndarray:
        """A map (H, W), or what the 16-bit picture says of it."""
        values = self.load(key, name)
        if values is not None:
            return values
        pixels = self.load(key, f'{name}_png')
        if pixels is None:
            raise ValueError(
                f'{self.folder} holds no values of the map {name}; export '
                'with --formats npy.'
            )
        scale = self.manifest['maps'][name]
        low, high = scale['png_low'], scale['png_high']
        return low + pixels / 65535 * (high - low)


def read_export(name: str, folder: Path) -> Export:
    """Read a manifest.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or lists no image.
    """
    manifest = read_manifest(folder)
    rows = {
        row['files']['class']: row
        for row in manifest['images']
        if 'files' in row
    }
    return Export(name, folder, manifest, rows)
