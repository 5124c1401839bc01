"""Arrays that wait on disk for a second look."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np


class ArraySpool:
    """A temporary file of arrays, written once and read in order.

    The file has no name and is gone with the object or the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._number = self._width = 0

    def append(self, *arrays: np.ndarray) -> None:
        """Write arrays that belong together."""
        for array in arrays:
            np.save(self._file, array, allow_pickle=False)
        self._number += 1
        self._width = len(arrays)

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Read them all, from the first on."""
        self._file.seek(0)
        for _ in range(self._number):
            yield [
                np.load(self._file, allow_pickle=False)
                for _ in range(self._width)
            ]

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
