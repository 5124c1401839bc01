"""Cloud optimized GeoTIFFs from the files of windows.

A VRT, the XML in which GDAL describes a raster that is made of others, puts
them together; GDAL's own driver makes the GeoTIFF of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np

from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.fileio import json_object
from mmseg_ddu.visualization.prediction import color_table, default_palette

from .window_grid import Tile

TAG = 'mmseg_ddu'  # of the settings, in the metadata of a file
CLASS = 'class'  # the first band
PLACE = ('SRS', 'GeoTransform', 'GCPList')
CACHE = 256  # MB of blocks that GDAL keeps
GDAL = dict(GDAL_CACHEMAX=str(CACHE), GDAL_NUM_THREADS='ALL_CPUS')
PATIENCE = 0.1  # seconds between two looks at whether to stop


class Mosaic:
    """A VRT at the place of a raster, without bands at first.

    Args:
        folder (Path): Of the windows; files are written into it.
        raster (Path): The one that was predicted.
        settings (dict): For the metadata.
        stop (StopRequest): Looked at while a GeoTIFF is written.
    """

    def __init__(
        self, folder: Path, raster: Path, settings: dict, stop: StopRequest
    ) -> None:
        from rasterio.shutil import copy

        self.folder, self.stop = folder, stop
        copy(str(raster), str(folder / 'place.vrt'), driver='VRT')
        found = xml.parse(folder / 'place.vrt').getroot()
        size = {f'raster{a}Size': found.get(f'raster{a}Size') for a in 'XY'}
        self.root = xml.Element('VRTDataset', size)
        for part in found:
            rational = part.get('domain') == 'RPC'  # of satellite images
            if part.tag in PLACE or rational:
                self.root.append(part)
        data = xml.SubElement(self.root, 'Metadata')
        _add(data, 'MDI', json.dumps(settings), key=TAG)
        area = found.findtext('Metadata/MDI[@key="AREA_OR_POINT"]')
        if area:
            _add(data, 'MDI', area, key='AREA_OR_POINT')

    def add_band(
        self, dtype: str, name: str, unit: str, nodata: float
    ) -> xml.Element:
        """A band, the next one; without sources."""
        number = str(len(self.root.findall('VRTRasterBand')) + 1)
        kind = dict(dataType=dtype, band=number)
        band = xml.SubElement(self.root, 'VRTRasterBand', kind)
        _add(band, 'Description', name)
        _add(band, 'UnitType', unit)
        _add(band, 'NoDataValue', str(nodata))
        return band

    def write(self, name: str, **options) -> Path:
        """The GeoTIFF, beside the windows.

        GDAL does not always notice that the disk is full, so all blocks are
        read once.

        Raises:
            OSError: If it cannot be written whole.
            Interrupted: If that was asked for; nothing is left of it then.
        """
        vrt, path = self.folder / f'{name}.vrt', self.folder / f'{name}.tif'
        xml.ElementTree(self.root).write(vrt)
        self._remove(path)
        compact = dict(compress='DEFLATE', predictor='YES', bigtiff='IF_SAFER')
        # A mean of classes is none, nor is one of scores and their marker.
        compact['overview_resampling'] = 'NEAREST'
        try:
            self._copy(vrt, path, driver='COG', **compact, **options)
            self._read_all(path)
        except BaseException as error:
            self._remove(path)
            if not isinstance(error, Exception):
                raise
            # The classes of GDAL's are not public.
            raise OSError(
                f'{path} cannot be written ({error}). Windows that are done '
                'are kept: free some room if the disk is full, then run the '
                'same command with --resume.'
            ) from error
        return path

    def _copy(self, source: Path, target: Path, **options) -> None:
        """By GDAL in a process of its own, which ends when asked to."""
        program = Path(__file__).with_name('gdal_copy.py')
        words = [str(program), str(source), str(target), json.dumps(options)]
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.PIPE,
                stderr=said,
                env={**os.environ, **GDAL},
                start_new_session=True,  # Ctrl-C is for this process
            ) as copy,
        ):
            try:
                while copy.poll() is None:
                    self._require_no_stop()
                    with suppress(subprocess.TimeoutExpired):
                        copy.wait(PATIENCE)
            finally:
                copy.kill()
            if copy.returncode:
                said.seek(0)
                text = said.read().decode(errors='replace').strip()
                raise OSError(text or f'it ended with {copy.returncode}')

    def _read_all(self, path: Path) -> None:
        import rasterio

        with rasterio.open(path) as file:
            for _, window in file.block_windows():
                file.read(window=window)
                self._require_no_stop()

    def _require_no_stop(self) -> None:
        if self.stop.made:
            raise Interrupted(
                f'Stopped while the windows in {self.folder} were put '
                'together. All are kept; the same command with --resume goes '
                'on.'
            )

    @staticmethod
    def _remove(path: Path) -> None:
        """A file, and what GDAL had beside it."""
        for each in path.parent.glob(f'{path.name}*'):
            each.unlink()


def write_classes(
    mosaic: Mosaic, tiles: Sequence[Tile], meta: dict, name: str
) -> Path:
    """One band of 8 bits with the names and colours of the classes."""
    band = mosaic.add_band('Byte', CLASS, '', VOID)
    _add(band, 'ColorInterp', 'Palette')
    names = xml.SubElement(band, 'CategoryNames')
    for text in meta.get('classes') or ():
        _add(names, 'Category', str(text))
    table = xml.SubElement(band, 'ColorTable')
    palette = meta.get('palette') or default_palette()
    for index, color in enumerate(color_table(palette).tolist()):
        values = [*color, 0 if index == VOID else 255]
        entry = {f'c{n}': str(value) for n, value in enumerate(values, 1)}
        xml.SubElement(table, 'Entry', entry)
    _add_sources(band, tiles, 1)
    return mosaic.write(name)


def write_maps(
    mosaic: Mosaic, tiles: Sequence[Tile], bands: dict[str, str], name: str
) -> Path:
    """A float32 band for the classes and for each map, as in the files."""
    for number, (title, unit) in enumerate({CLASS: '', **bands}.items(), 1):
        band = mosaic.add_band('Float32', title, unit, np.nan)
        _add_sources(band, tiles, number, VOID if title == CLASS else None)
    return mosaic.write(name)


def settings_of(path: Path) -> dict:
    """What :class:`Mosaic` has put into a file, or nothing."""
    import rasterio

    try:
        with rasterio.open(path) as file:
            return json_object(file.tags().get(TAG, ''))
    except OSError:
        return {}


def _add(parent: xml.Element, tag: str, text: str, **attributes) -> None:
    xml.SubElement(parent, tag, attributes).text = text


def _add_sources(
    band: xml.Element,
    tiles: Sequence[Tile],
    number: int,
    missing: float | None = None,
) -> None:
    """Band of so many files; what is ``missing`` in them has no data."""
    kind = 'SimpleSource' if missing is None else 'ComplexSource'
    for tile in tiles:
        rows, columns = tile.kept_rows, tile.kept_columns
        width, height = columns.stop - columns.start, rows.stop - rows.start
        size = dict(xSize=str(width), ySize=str(height))
        source = xml.SubElement(band, kind)
        _add(source, 'SourceFilename', tile.name, relativeToVRT='1')
        _add(source, 'SourceBand', str(number))
        if missing is not None:
            _add(source, 'NODATA', str(missing))
        # So that not all files are opened to ask them.
        properties = dict(
            RasterXSize=str(width), RasterYSize=str(height), DataType='Float32'
        )
        xml.SubElement(source, 'SourceProperties', properties)
        xml.SubElement(source, 'SrcRect', dict(xOff='0', yOff='0', **size))
        place = dict(xOff=str(columns.start), yOff=str(rows.start))
        xml.SubElement(source, 'DstRect', dict(place, **size))
