"""Every method on the same pixels: one table, all curves."""

from .aggregate import aggregate
from .runner import compare

__all__ = ['aggregate', 'compare']
