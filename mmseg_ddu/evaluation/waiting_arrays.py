"""Arrays that wait on disk for a second look."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np


class WaitingArrays:
    """A temporary file of arrays, written once and read in order.

    The file has no name and is gone with the object or the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._widths: list[int] = []

    def append(self, *arrays: np.ndarray) -> None:
        """Write arrays that belong together."""
        for array in arrays:
            np.save(self._file, array, allow_pickle=False)
        self._widths.append(len(arrays))

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Read them all, from the first on."""
        self._file.seek(0)
        for width in self._widths:
            yield [
                np.load(self._file, allow_pickle=False) for _ in range(width)
            ]

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
