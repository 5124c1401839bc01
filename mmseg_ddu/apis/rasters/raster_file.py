"""A raster with its position, its bands and what is missing in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

STATISTICS = '.aux.xml'  # viewers write them, and overviews


@contextmanager
def places_may_be_absent() -> Iterator[None]:
    """No warnings of rasterio about them: files of windows have none.

    A raster that has none is named elsewhere.
    """
    import rasterio

    kind = rasterio.errors.NotGeoreferencedWarning
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', kind)
        yield


def require_rasterio() -> None:
    """Raise ImportError with the remedy if the extra is missing."""
    try:
        import rasterio  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'Rasters need {error.name}: pip install "mmseg_ddu[geo]".'
        ) from error


class RasterFile:
    """Some bands of a raster, read window by window.

    Args:
        path (str): Whatever GDAL reads.
        bands (Sequence[int], optional): Numbers from 1; all but alpha by
            default.
        channels (int): That the network takes.

    Attributes:
        shape (tuple[int, int]): Height and width.
        dtype (str): Of the pixels.
        placed (bool): Whether it says where on earth it is.

    Raises:
        OSError: If GDAL cannot read it.
        ValueError: If the bands do not fit the network.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        bands: Sequence[int] | None,
        channels: int,
    ) -> None:
        import rasterio

        self.path = Path(path)
        self.file = rasterio.open(self.path)
        self.bands = self._chosen(bands, channels)
        self.shape = self.file.shape
        self.placed = bool(self.file.crs or self.file.gcps[0])
        kind = np.result_type(*[self.file.dtypes[b - 1] for b in self.bands])
        if kind.kind not in 'uif':
            raise ValueError(
                f'{self.path} has pixels of type {kind}; only whole and real '
                'numbers can be predicted.'
            )
        self.dtype = str(kind)

    def _chosen(self, bands: Sequence[int] | None, channels: int) -> list[int]:
        from rasterio.enums import ColorInterp

        colors = self.file.colorinterp
        found = [
            index
            for index, color in zip(self.file.indexes, colors)
            if color != ColorInterp.alpha
        ]
        chosen = list(bands or found)
        unknown = sorted(set(chosen) - set(self.file.indexes))
        if unknown:
            raise ValueError(
                f'{self.path} has the bands 1 to {self.file.count}, so there '
                f'is no band {unknown[0]}.'
            )
        if len(chosen) != channels:
            least = min(channels, max(1, len(found)))
            example = [*range(1, least + 1)] + [least] * (channels - least)
            what = 'bands were chosen' if bands else 'bands that are not alpha'
            raise ValueError(
                f'{self.path} has {len(found)} bands ({len(chosen)} {what}), '
                f'but the network takes {channels}. Choose them in its order, '
                f'as in --bands {" ".join(map(str, example))}.'
            )
        return chosen

    def read(
        self, rows: slice, columns: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a window, and where there are any.

        A mask of the file or an alpha band says where. Else a pixel is
        missing if all its bands have the nodata value, in types other than
        8 bit (where that value may be a colour) if one has. A value that is
        not finite is always missing.

        Returns:
            tuple: (bands, h, w) and (h, w) bool.

        Raises:
            OSError: If the file is damaged there.
        """
        from rasterio.enums import MaskFlags
        from rasterio.errors import RasterioIOError

        window = rows, columns
        flags = {flag for each in self.file.mask_flag_enums for flag in each}
        try:
            parts = [self.file.read(b, window=window) for b in self.bands]
            pixels = np.stack(parts).astype(self.dtype, copy=False)
            if flags & {MaskFlags.per_dataset, MaskFlags.alpha}:
                there = self.file.dataset_mask(window=window) > 0
            else:
                masks = self.file.read_masks(self.bands, window=window) > 0
                any_band = self.dtype in ('uint8', 'int8')
                there = masks.any(0) if any_band else masks.all(0)
        except RasterioIOError as error:
            raise OSError(
                f'{self.path} cannot be read at rows {rows.start} to '
                f'{rows.stop}, columns {columns.start} to {columns.stop}: '
                f'{error.__cause__ or error}'
            ) from error
        if pixels.dtype.kind == 'f':
            there &= np.isfinite(pixels).all(0)
        return pixels, there

    @cached_property
    def sources(self) -> tuple[dict[str, list], list[str]]:
        """All files that it is made of, when first asked.

        Those of its sources too, and masks and other files beside them, but
        for overviews and statistics, which viewers write.

        Returns:
            tuple: Size, time of the last change and nodata values of each
            file on this disk, and the names of those that are elsewhere.
        """
        here: dict[str, list] = {}
        elsewhere: list[str] = []
        # No pixel of a window comes from its overviews.
        todo, known = [str(self.path)], {str(self.path), f'{self.path}.ovr'}
        while todo:
            name = todo.pop()
            try:
                info = os.stat(name)
                key = os.path.relpath(name, self.path.parent)
                found, nodata = _listed(name)
                here[key] = [info.st_size, info.st_mtime_ns, nodata]
            except OSError:
                remote = '/vsi' in name or '://' in name
                found = [] if remote else _listed(name)[0]
                if not found:
                    elsewhere.append(name)
            new = [file for file in found if file not in known]
            # Nor from statistics; nodata values, also there, are asked for.
            todo += [file for file in new if not file.endswith(STATISTICS)]
            known.update(new)
        return here, elsewhere

    def settings(self) -> dict:
        """What an export that goes on must find unchanged."""
        return dict(
            raster=self.path.name,
            shape=list(self.shape),
            bands=self.bands,
            files=self.sources[0],
        )


def _listed(name: str) -> tuple[list[str], str]:
    """Files that GDAL reads for one, not for those, and its nodata values."""
    import rasterio

    try:
        with rasterio.open(name) as file:
            return list(file.files), repr(file.nodatavals)
    except OSError:  # not a raster, as a file of a transform
        return [], ''


def write_window(path: Path, pixels: np.ndarray) -> None:
    """A window as an image file of its own, for the loader of a config.

    Three and four of (bands, h, w) are colours, else OpenCV reads only the
    first one.
    """
    if path.suffix == '.npy':
        np.save(path, pixels.transpose(1, 2, 0))
        return
    options = {}
    if len(pixels) in (3, 4) and pixels.dtype.kind != 'f':
        options = dict(photometric='RGB', alpha='NO')
    path.write_bytes(tiff_bytes(pixels, interleave='pixel', **options))


def tiff_bytes(pixels: np.ndarray, **options) -> bytes:
    """An uncompressed TIFF of (bands, h, w)."""
    import rasterio

    count, height, width = pixels.shape
    size = dict(count=count, height=height, width=width)
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver='GTiff', dtype=pixels.dtype, **size, **options
        ) as file:
            file.write(pixels)
        return bytes(memory.getbuffer())
