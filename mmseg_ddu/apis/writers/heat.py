"""Maps in colours."""

from mmseg_ddu.visualization.prediction import draw_map

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
