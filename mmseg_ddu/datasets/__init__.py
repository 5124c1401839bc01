"""Data for measuring uncertainty: held-out classes, OoD masks, a sample."""

from .held_out import DropImagesWithClasses
from .ood import LoadOoDAnnotations, PackDDUInputs

__all__ = ['DropImagesWithClasses', 'LoadOoDAnnotations', 'PackDDUInputs']
