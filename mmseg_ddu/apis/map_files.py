"""The files that an exported image becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.visualization import (
    blend,
    class_colors,
    heat_map,
    side_by_side,
)

CMAPS = dict(epistemic='magma', percentile='magma', aleatoric='viridis')
MAX_16_BIT = 65535


@dataclass(frozen=True)
class Scale:
    """A linear scale of 16-bit pictures.

    Attributes:
        low (float): Value of pixel 0.
        high (float): Value of pixel 65535.
        unit (str): Of the values.
        bright (float, optional): Value of the brightest colour in heat maps,
            where that is not ``high``.
    """

    low: float
    high: float
    unit: str
    bright: float | None = None

    def label(self, name: str) -> str:
        """What a colour bar says."""
        return name if name == 'percentile' else f'{name} ({self.unit})'

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values to uint16, clipped."""
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        return (MAX_16_BIT * np.clip(share, 0, 1)).round().astype(np.uint16)

    def clipped_share(self, values: np.ndarray) -> float:
        """Share of the values outside the scale."""
        return float(((values < self.low) | (values > self.high)).mean())


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
        source: Path,
        classes: np.ndarray,
        maps: dict[str, np.ndarray],
    ) -> dict[str, str]:
        """Write all files of an image.

        Args:
            name (str): File name without suffix; may hold folders.
            source (Path): The image, for the overlay.
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
                label = scale.label(key)
                top = scale.high if scale.bright is None else scale.bright
                picture = heat_map(values, scale.low, top, label, CMAPS[key])
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
        if image.shape[:2] != classes.shape:  # rotated by its EXIF tag
            image = cv2.resize(image, classes.shape[::-1])
        colors = class_colors(classes, self.palette)
        # The percentile is what a person can read; without densities there
        # is only the score itself.
        shown = 'percentile' if 'percentile' in pictures else 'epistemic'
        panel = side_by_side(
            [
                image,
                blend(image, colors),
                pictures['aleatoric'],
                pictures[shown],
            ],
            ['image', 'prediction', 'aleatoric', 'epistemic'],
        )
        return self._save('overlay', f'{name}.png', panel)

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


def default_palette() -> list[list[int]]:
    """Distinct colours for models that bring none."""
    hues = (np.arange(256) * 67 % 180).astype(np.uint8)
    full = np.full(256, 220, np.uint8)
    hsv = np.stack([hues, full, full], 1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].tolist()
