"""Files for people to look at."""

from collections.abc import Iterable

from mmseg_ddu.visualization.prediction import draw_map, panel

from .file_format import FORMATS, Exported, FileFormat, png


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
