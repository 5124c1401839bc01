"""The files that an exported image becomes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.visualization.maps import Scale, default_palette, panel

_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'


class MapWriter:
    """Writes the maps of one image after another, each file whole.

    Args:
        out_dir (Path): Exists.
        scales (dict[str, Scale]): Of each map.
        palette (Sequence, optional): Colours of the classes.
        pictures (bool): Also write heat maps and overlays.

    Attributes:
        images_written (int): So far.
        bytes_written (int): So far.
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
        self.images_written = 0
        self.bytes_written = 0

    def files(self, name: str, maps: Iterable[str]) -> dict[str, str]:
        """What an image becomes, to path relative to ``out_dir``."""
        names = {'class': f'class/{name}.png'}
        for key in maps:
            names[key] = f'{key}/{name}.npy'
            names[f'{key}_png'] = f'{key}/{name}.png'
            if self.pictures:
                names[f'{key}_heat'] = f'{key}/{name}_heat.png'
        if self.pictures:
            names['overlay'] = f'overlay/{name}.png'
        return {what: str(Path(file)) for what, file in names.items()}

    def write(
        self,
        name: str,
        image: np.ndarray | None,
        classes: np.ndarray,
        maps: Mapping[str, np.ndarray],
    ) -> dict[str, str]:
        """Write all files of an image, or after an error none.

        Args:
            name (str): File name without suffix; may hold folders.
            image (np.ndarray, optional): (h, w, 3) uint8 RGB, for the
                overlay.
            classes (np.ndarray): (H, W) uint8.
            maps (Mapping[str, np.ndarray]): (H, W) float32 each.

        Returns:
            dict[str, str]: What to path relative to ``out_dir``.
        """
        files = self.files(name, maps)
        try:
            self._save(files['class'], self._class_map(classes))
            pictures = {}
            for key, values in maps.items():
                scale = self.scales[key]
                self._save(files[key], values.astype(np.float32))
                self._save(files[f'{key}_png'], scale.encode(values))
                if self.pictures:
                    pictures[key] = scale.draw(key, values)
                    self._save(files[f'{key}_heat'], pictures[key])
            if self.pictures:
                overlay = self._overlay(image, classes, pictures)
                self._save(files['overlay'], overlay)
        except BaseException:
            self.remove(name, maps)
            raise
        self.images_written += 1
        return files

    def remove(self, name: str, maps: Iterable[str]) -> None:
        """Remove what there is of an image."""
        for file in self.files(name, maps).values():
            self._path(file).unlink(missing_ok=True)

    def has_whole(
        self, name: str, maps: Iterable[str], shape: tuple[int, int]
    ) -> bool:
        """Whether all files of an image are there and none is cut off."""
        return all(
            _is_whole(self._path(file), shape)
            for file in self.files(name, maps).values()
        )

    def _overlay(self, image, classes, pictures) -> np.ndarray:
        # The percentile is what a person can read; without densities there
        # is only the score itself.
        shown = 'percentile' if 'percentile' in pictures else 'epistemic'
        heat_maps = dict(
            aleatoric=pictures['aleatoric'], epistemic=pictures[shown]
        )
        return panel(image, dict(prediction=classes), heat_maps, self.palette)

    def _class_map(self, classes: np.ndarray) -> Image.Image:
        image = Image.fromarray(classes, mode='P')
        flat = np.asarray(self.palette, np.uint8).ravel().tolist()
        image.putpalette(flat + [0] * (768 - len(flat)))
        return image

    def _save(self, file: str, content: np.ndarray | Image.Image) -> None:
        path = self._path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _encoded(content, path.suffix)
        with atomic_write(path) as temporary:
            # Not np.save or Image.save: they hide why a write failed.
            temporary.write_bytes(data)
        self.bytes_written += len(data)

    def _path(self, file: str) -> Path:
        """The path of a file, which links may not lead elsewhere."""
        path = self.out_dir / file
        root = self.out_dir.resolve()
        if not path.parent.resolve().is_relative_to(root):
            raise ValueError(
                f'{path.parent} is not in the output folder {root}; remove '
                'the link there, or choose another folder.'
            )
        return path


def _encoded(content: np.ndarray | Image.Image, suffix: str) -> memoryview:
    """The bytes of an array or a picture in a file."""
    stream = io.BytesIO()
    if suffix == '.npy':
        np.save(stream, content)
    else:
        if isinstance(content, np.ndarray):
            content = Image.fromarray(content)
        content.save(stream, 'PNG')
    return stream.getbuffer()


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    """Whether a file that was written here is complete; it is not decoded."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        if path.suffix == '.npy':
            values = np.lib.format.open_memmap(path, mode='r')
            return values.shape == shape and values.dtype == np.float32
        with path.open('rb') as file:
            file.seek(-len(_PNG_END), io.SEEK_END)
            return file.read() == _PNG_END
    except Exception:  # whatever may be in a file
        return False


def save_picture(folder: Path, name: str, picture: np.ndarray) -> None:
    """Write ``name.png``; the name may hold folders."""
    path = folder / f'{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary)
