"""Rasters that are small; whoever imports this skips without rasterio."""

from __future__ import annotations

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio', reason='rasterio is not installed')
pytest.importorskip('rasterio.shutil')  # for rasterio.shutil.copy

PLACE = dict(
    crs='EPSG:32632', transform=rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5.4e6)
)


def colors(height, width, bands=3, dtype='uint8', seed=0):
    """Noise that is smooth enough to have structure."""
    rng = np.random.default_rng(seed)
    shape = (bands, height // 4 + 1, width // 4 + 1)
    coarse = rng.integers(20, 230, shape).astype(dtype)
    return coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]


def write_raster(path, pixels, mask=None, **options):
    """A GeoTIFF, at a place unless another is given; with a mask."""
    count, height, width = pixels.shape
    size = dict(count=count, height=height, width=width, dtype=pixels.dtype)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, 'w', driver='GTiff', **size, **{**PLACE, **options}
        ) as file,
    ):
        file.write(pixels)
        if mask is not None:
            file.write_mask(mask)
    return path


def read(path):
    """Pixels of all bands."""
    with rasterio.open(path) as file:
        return file.read()
