"""Will it work on mine? What held-out labelled images alone can tell."""

from .checking import check_model

__all__ = ['check_model']
