"""What the tools do, callable from Python."""

from mmseg_ddu.engine.fit import fit_gda

from .runner import train

__all__ = ['fit_gda', 'train']
