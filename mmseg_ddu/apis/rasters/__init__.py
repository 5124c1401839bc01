"""Maps of rasters that are too large for one prediction."""

from .many_rasters import export_raster

__all__ = ['export_raster']
