"""The formats that come with the package."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.visualization.prediction import color_table, draw_map, panel

from .file_format import FORMATS, Exported, FileFormat, png

ABSTAIN = 'abstain'


@FORMATS.register('class')
class ClassMap(FileFormat):
    """The predicted classes, 8-bit PNGs with a palette; always written."""

    def folders(self, maps: Iterable[str]) -> dict[str, str]:
        return {'class': 'class'}

    def encode(self, what: str, image: Exported) -> memoryview:
        picture = Image.fromarray(image.classes, mode='P')
        picture.putpalette(color_table(image.palette).tobytes())
        return png(picture)


@FORMATS.register(ABSTAIN)
class Abstain(FileFormat):
    """255 where a pixel is refused, else 0; of models that refuse some."""

    by_default = False

    def folders(self, maps: Iterable[str]) -> dict[str, str]:
        return {ABSTAIN: ABSTAIN}

    def encode(self, what: str, image: Exported) -> memoryview:
        return png(np.where(image.classes == VOID, VOID, 0).astype(np.uint8))


@FORMATS.register('npy')
class Npy(FileFormat):
    """The values themselves, NumPy files of float32."""

    ending = '.npy'

    def encode(self, what: str, image: Exported) -> memoryview:
        stream = io.BytesIO()
        np.save(stream, image.maps[what].astype(np.float32))
        return stream.getbuffer()

    def is_whole(self, path: Path, shape: tuple[int, int]) -> bool:
        values = np.lib.format.open_memmap(path, mode='r')
        return values.shape == shape and values.dtype == np.float32


@FORMATS.register('png16')
class Png16(FileFormat):
    """16-bit PNGs on the linear scale that the manifest states."""

    key = '_png'

    def encode(self, what: str, image: Exported) -> memoryview:
        return png(image.scales[what].encode(image.maps[what]))


@FORMATS.register('heat')
class Heat(FileFormat):
    """Heat maps with colour bars. A percentile has none of its own: it is
    what the map is coloured by.
    """

    ending, key = '_heat.png', '_heat'
    percentiles = False
    is_picture = True

    def encode(self, what: str, image: Exported) -> memoryview:
        return png(draw_map(what, image.maps, image.scales))


@FORMATS.register('overlay')
class Overlay(FileFormat):
    """Image, prediction and the maps side by side."""

    is_picture = True

    def folders(self, maps: Iterable[str]) -> dict[str, str]:
        return dict(overlay='overlay')

    def encode(self, what: str, image: Exported) -> memoryview:
        classes = dict(prediction=image.classes)
        look = image.scales, image.palette
        return png(panel(image.photo, classes, image.maps, *look))
