"""Deep Deterministic Uncertainty for mmsegmentation.

Importing the package itself pulls in nothing but the version, so that
``mmseg_ddu.core`` works with torch alone. mmengine finds the registered
components through ``mmseg_ddu.registry`` when a config names
``type='mmseg_ddu.…'``; no ``custom_imports`` are needed.
"""

from .version import __version__

__all__ = ['__version__']
