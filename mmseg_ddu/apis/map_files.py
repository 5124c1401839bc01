"""The files that an exported image becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.visualization.maps import Scale, default_palette, panel


class MapWriter:
    """Writes the maps of one image after another, each file whole.

    Args:
        out_dir (Path): Exists.
        scales (dict[str, Scale]): Of each map.
        palette (Sequence, optional): Colours of the classes.
        pictures (bool): Also write heat maps and overlays.
    """

    def __init__(
        self,
        out_dir: Path,
        scales: dict[str, Scale],
        palette: Sequence | None,
        pictures: bool = True,
    ) -> None:
        self.out_dir = out_dir
        self.scales = scales
        self.palette = palette or default_palette()
        self.pictures = pictures

    def write(
        self,
        name: str,
        source: Path | None,
        classes: np.ndarray,
        maps: dict[str, np.ndarray],
    ) -> dict[str, str]:
        """Write all files of an image.

        Args:
            name (str): File name without suffix; may hold folders.
            source (Path, optional): The image, for the overlay.
            classes (np.ndarray): (H, W) uint8.
            maps (dict[str, np.ndarray]): (H, W) float32 each.

        Returns:
            dict[str, str]: What to path relative to ``out_dir``.
        """
        files = {'class': self._class_map(name, classes)}
        pictures = []
        for key, values in maps.items():
            scale = self.scales[key]
            files[key] = self._save(key, f'{name}.npy', values)
            files[f'{key}_png'] = self._save(
                key, f'{name}.png', scale.encode(values)
            )
            if self.pictures:
                picture = scale.draw(key, values)
                pictures.append((key, picture))
                files[f'{key}_heat'] = self._save(
                    key, f'{name}_heat.png', picture
                )
        if self.pictures:
            files['overlay'] = self._overlay(
                name, source, classes, dict(pictures)
            )
        return files

    def _overlay(self, name, source, classes, pictures) -> str:
        with Image.open(source) as opened:
            image = np.asarray(opened.convert('RGB'))
        # The percentile is what a person can read; without densities there
        # is only the score itself.
        shown = 'percentile' if 'percentile' in pictures else 'epistemic'
        heat_maps = dict(
            aleatoric=pictures['aleatoric'], epistemic=pictures[shown]
        )
        picture = panel(
            image, dict(prediction=classes), heat_maps, self.palette
        )
        return self._save('overlay', f'{name}.png', picture)

    def _class_map(self, name: str, classes: np.ndarray) -> str:
        image = Image.fromarray(classes, mode='P')
        flat = np.asarray(self.palette, np.uint8).ravel().tolist()
        image.putpalette(flat + [0] * (768 - len(flat)))
        path = self._path('class', f'{name}.png')
        with atomic_write(path) as temporary:
            image.save(temporary)
        return str(path.relative_to(self.out_dir))

    def _save(self, folder: str, name: str, values: np.ndarray) -> str:
        path = self._path(folder, name)
        with atomic_write(path) as temporary:
            if path.suffix == '.npy':
                np.save(temporary, values.astype(np.float32))
            else:
                Image.fromarray(values).save(temporary)
        return str(path.relative_to(self.out_dir))

    def _path(self, folder: str, name: str) -> Path:
        path = self.out_dir / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def save_picture(folder: Path, name: str, picture: np.ndarray) -> None:
    """Write ``name.png``; the name may hold folders."""
    path = folder / f'{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary)
