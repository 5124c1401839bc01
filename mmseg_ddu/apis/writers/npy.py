"""The values themselves."""

import io
from pathlib import Path

import numpy as np

from .file_format import FORMATS, Exported, FileFormat


@FORMATS.register('npy')
class Npy(FileFormat):
    """NumPy files of float32."""

    ending = '.npy'

    def encode(self, what: str, image: Exported) -> memoryview:
        stream = io.BytesIO()
        np.save(stream, image.maps[what].astype(np.float32))
        return stream.getbuffer()

    def is_whole(self, path: Path, shape: tuple[int, int]) -> bool:
        values = np.lib.format.open_memmap(path, mode='r')
        return values.shape == shape and values.dtype == np.float32
