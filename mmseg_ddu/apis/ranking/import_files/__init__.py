"""Files that label tools import. To add one is to add a module here."""

from mmseg_ddu.core.name_registry import import_all

from .import_file import IMPORTS, possible_files

import_all(__name__)

__all__ = ['IMPORTS', 'possible_files']
