"""Writing per-pixel uncertainty maps of images to files."""

from mmseg_ddu.apis.image_files import find_images

from .manifest import MANIFEST
from .run import export

__all__ = ['MANIFEST', 'export', 'find_images']
