"""Writing per-pixel uncertainty maps of images to files."""

from mmseg_ddu.apis.image_files import find_images

from .journal import MANIFEST
from .many_images import export

__all__ = ['MANIFEST', 'export', 'find_images']
