"""The predicted classes, which are always written."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from .file_format import FORMATS, Exported, FileFormat, png


@FORMATS.register('class')
class ClassMap(FileFormat):
    """8-bit PNGs with a palette."""

    def folders(self, maps: Iterable[str]) -> dict[str, str]:
        return {'class': 'class'}

    def encode(self, what: str, image: Exported) -> memoryview:
        picture = Image.fromarray(image.classes, mode='P')
        flat = np.asarray(image.palette, np.uint8).ravel().tolist()
        picture.putpalette(flat + [0] * (768 - len(flat)))
        return png(picture)
