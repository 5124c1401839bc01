"""Every method on the same pixels: one table, all curves."""

from .aggregate import aggregate
from .compare_methods import compare

__all__ = ['aggregate', 'compare']
