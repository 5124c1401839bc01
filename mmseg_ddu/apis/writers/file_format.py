"""What a file format is, and what it is given."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmseg_ddu.core.name_registry import NameRegistry
from mmseg_ddu.models.map_names import PERCENTILE
from mmseg_ddu.visualization.prediction import Scale

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
    """

    ending = '.png'
    key = ''
    percentiles = True
    is_picture = False

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
