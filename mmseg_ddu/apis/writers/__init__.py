"""File formats of exported images. To add one is to add a module here."""

from mmseg_ddu.core.name_registry import import_all

from .file_format import FORMATS, Exported, FileFormat, MapWriter

import_all(__name__)

__all__ = ['FORMATS', 'Exported', 'FileFormat', 'MapWriter']
