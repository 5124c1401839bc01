"""What a file format is, what it is given, and the writer of all files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmseg_ddu.core.name_registry import NameRegistry
from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.models.map_names import PERCENTILE
from mmseg_ddu.visualization.prediction import Scale, default_palette

FORMATS = NameRegistry('a file format')
_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'


class Exported(NamedTuple):
    """An image on its way into files."""

    photo: np.ndarray | None  # (h, w, 3) uint8 RGB
    classes: np.ndarray  # (H, W) uint8
    maps: Mapping[str, np.ndarray]  # (H, W) float32 each
    scales: Mapping[str, Scale]  # of the maps
    palette: Sequence  # colours of the classes


class FileFormat:
    """A file for each map of an image.

    A subclass in this folder, registered under the name that ``--formats``
    takes, is all that a further format needs:

    .. code-block:: python

        @FORMATS.register('tiff')
        class Tiff(FileFormat):
            ending, key = '.tif', '_tiff'

            def encode(self, what, image):
                return tiff_bytes(image.maps[what])

    Attributes:
        ending (str): Behind the name of an image.
        key (str): Behind the name of a map, in rows of the manifest.
        percentiles (bool): Whether percentiles are written too.
        is_picture (bool): Only for people to look at (``--no-pictures``
            leaves it out); may use ``image.photo``.
        by_default (bool): Written where no formats are named.
    """

    ending = '.png'
    key = ''
    percentiles = True
    is_picture = False
    by_default = True

    def folders(self, maps: Iterable[str]) -> dict[str, str]:
        """Key in the manifest to folder (what is written), for each file."""
        return {
            name + self.key: name
            for name in maps
            if self.percentiles or not name.endswith(PERCENTILE)
        }

    def encode(self, what: str, image: Exported) -> bytes | memoryview:
        """The content of the file in a folder."""
        raise NotImplementedError

    def is_whole(self, path: Path, shape: tuple[int, int]) -> bool:
        """Whether a file of an image (H, W) is not cut off.

        Nothing is decoded; whatever is raised counts as no.
        """
        if not self.ending.endswith('.png'):
            return path.stat().st_size > 0
        with path.open('rb') as file:
            file.seek(-len(_PNG_END), io.SEEK_END)
            return file.read() == _PNG_END


def png(picture: np.ndarray | Image.Image) -> memoryview:
    """A picture as the bytes of a PNG file."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    stream = io.BytesIO()
    picture.save(stream, 'PNG')
    return stream.getbuffer()


def choose_formats(
    names: Iterable[str] | None = None, pictures: bool = True
) -> list[str]:
    """Names of file formats, ``class`` among them, sorted.

    Args:
        names (Iterable[str], optional): All by default.
        pictures (bool): Also those that are only to look at.

    Raises:
        ValueError: If there is no such format.
    """
    if names is None:
        names = [n for n, kind in FORMATS.items() if kind.by_default]
    chosen = sorted({'class', *names})
    kinds = [FORMATS.find(name) for name in chosen]
    return [n for n, k in zip(chosen, kinds) if pictures or not k.is_picture]


class MapWriter:
    """Writes the maps of one image after another, each file whole.

    Args:
        out_dir (Path): Exists.
        scales (dict[str, Scale]): Of each map.
        palette (Sequence, optional): Colours of the classes.
        formats (Sequence[str]): Of :func:`choose_formats`.

    Attributes:
        images_written (int): So far.
        bytes_written (int): So far.
    """

    def __init__(
        self,
        out_dir: Path,
        scales: dict[str, Scale],
        palette: Sequence | None,
        formats: Sequence[str],
    ) -> None:
        self.out_dir = out_dir
        self.scales = scales
        self.palette = palette or default_palette()
        self.formats = {name: FORMATS.find(name)() for name in formats}
        self.needs_photo = any(f.is_picture for f in self.formats.values())
        self.images_written = 0
        self.bytes_written = 0

    def files(self, name: str) -> dict[str, str]:
        """What an image becomes, to path relative to ``out_dir``."""
        return {key: file for key, file, *_ in self._files(name)}

    def write(
        self,
        name: str,
        photo: np.ndarray | None,
        classes: np.ndarray,
        maps: Mapping[str, np.ndarray],
    ) -> dict[str, str]:
        """Write all :meth:`files` of an image, or after an error none.

        Args:
            name (str): File name without suffix; may hold folders.
            photo, classes, maps: As :class:`Exported` has them.
        """
        image = Exported(photo, classes, maps, self.scales, self.palette)
        try:
            for _, file, what, kind in self._files(name):
                content = kind.encode(what, image)
                save(self._path(file), content)
                self.bytes_written += len(content)
        except BaseException:
            self.remove(name)
            raise
        self.images_written += 1
        return self.files(name)

    def remove(self, name: str) -> None:
        """Remove what there is of an image."""
        for file in self.files(name).values():
            self._path(file).unlink(missing_ok=True)

    def has_whole(self, name: str, shape: tuple[int, int]) -> bool:
        """Whether all files of an image are there and none is cut off."""
        try:
            return all(
                path.is_file()
                and not path.is_symlink()
                and kind.is_whole(path, shape)
                for _, file, _, kind in self._files(name)
                for path in [self._path(file)]
            )
        except Exception:  # whatever may be in a file
            return False

    def _files(self, name: str) -> Iterator[tuple[str, str, str, FileFormat]]:
        """Key in the manifest, path, what is in it, and its format."""
        for kind in self.formats.values():
            for key, what in kind.folders(self.scales).items():
                yield key, f'{what}/{name}{kind.ending}', what, kind

    def _path(self, file: str) -> Path:
        """The path of a file, which links may not lead elsewhere."""
        path, root = self.out_dir / file, self.out_dir.resolve()
        if not path.parent.resolve().is_relative_to(root):
            raise ValueError(
                f'{path.parent} is not in the output folder {root}; remove '
                'the link there, or choose another folder.'
            )
        return path


def save(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all, with the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        # Not np.save or Image.save: they hide why a write failed.
        temporary.write_bytes(content)
