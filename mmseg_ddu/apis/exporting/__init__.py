"""Writing per-pixel uncertainty maps of images to files."""

from mmseg_ddu.apis.image_files import find_images

from .manifest import MANIFEST, read_manifest
from .many_images import export

__all__ = ['MANIFEST', 'export', 'find_images', 'read_manifest']
