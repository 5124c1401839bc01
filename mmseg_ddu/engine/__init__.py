"""Fitting: the routine behind the tool, and the training hook."""

from .fit import fit_gda
from .hook import FitGDAHook

__all__ = ['FitGDAHook', 'fit_gda']
