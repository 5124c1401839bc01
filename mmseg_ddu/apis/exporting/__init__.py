"""Writing per-pixel uncertainty maps of images to files."""

from .journal import MANIFEST
from .many_images import export

__all__ = ['MANIFEST', 'export']
