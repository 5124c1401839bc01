"""mmcv without its compiled extension; import this before mmseg."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys

EXTENSION = 'mmcv._ext'


def allow_missing_mmcv_ops() -> None:
    """Make ``mmcv.ops`` importable where mmcv has no compiled extension.

    Some of its ops are written in Python and work; mmseg 1.2 even imports
    some that it does not use. A compiled one raises RuntimeError when it is
    called. Does nothing where the extension is there.
    """
    if EXTENSION in sys.modules or importlib.util.find_spec(EXTENSION):
        return
    spec = importlib.machinery.ModuleSpec(EXTENSION, None)
    module = importlib.util.module_from_spec(spec)
    module.__getattr__ = _missing
    sys.modules[EXTENSION] = module


def _missing(name: str):
    if name.startswith('__'):
        raise AttributeError(name)

    def unusable(*_, **__):
        raise RuntimeError(f'mmcv is built without ops: {name}')

    return unusable
