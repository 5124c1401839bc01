"""Values for programs that read no NumPy files."""

from .file_format import FORMATS, Exported, FileFormat, png


@FORMATS.register('png16')
class Png16(FileFormat):
    """16-bit PNGs on the linear scale that the manifest states."""

    key = '_png'

    def encode(self, what: str, image: Exported) -> memoryview:
        return png(image.scales[what].encode(image.maps[what]))
