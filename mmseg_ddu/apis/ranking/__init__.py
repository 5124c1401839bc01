"""Which images to look at next."""

from .rank import rank_images

__all__ = ['rank_images']
