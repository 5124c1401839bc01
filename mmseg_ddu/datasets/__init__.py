"""Data for measuring uncertainty: held-out classes, OoD masks, shifts."""

from .held_out import DropImagesWithClasses
from .ood import LoadOoDAnnotations, PackDDUInputs
from .shifts import SHIFTS, ShiftImage, VoidOoD, WithShift, shifted

__all__ = [
    'DropImagesWithClasses',
    'LoadOoDAnnotations',
    'PackDDUInputs',
    'SHIFTS',
    'ShiftImage',
    'VoidOoD',
    'WithShift',
    'shifted',
]
