"""Fitting: the routine behind the tool, the training hook, safe loading."""

from .fit import fit_gda
from .fit_hook import FitGDAHook
from .pruning import ProsPrHook
from .safe_load import safe_loading, trust_checkpoints
from .spectral_cap import SpectralCapHook

__all__ = [
    'FitGDAHook',
    'ProsPrHook',
    'SpectralCapHook',
    'fit_gda',
    'safe_loading',
    'trust_checkpoints',
]
