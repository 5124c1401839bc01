"""Data for measuring uncertainty: held-out classes, OoD masks, shifts."""

from .held_out import DropImagesWithClasses
from .ood import (
    LoadKnownAnnotations,
    LoadOoDAnnotations,
    PackDDUInputs,
    with_held_out,
)
from .ood_datasets import (
    FishyscapesLostAndFoundDataset,
    FishyscapesStaticDataset,
    LoadImageWithOverlay,
    OoDMaskDataset,
    RoadAnomalyDataset,
    SMIYCDataset,
    StreetHazardsDataset,
)
from .shifts import SHIFTS, ShiftImage, VoidOoD, WithShift, shifted
from .training_labels import TrainingLabels

__all__ = [
    'DropImagesWithClasses',
    'FishyscapesLostAndFoundDataset',
    'FishyscapesStaticDataset',
    'LoadImageWithOverlay',
    'LoadKnownAnnotations',
    'LoadOoDAnnotations',
    'OoDMaskDataset',
    'PackDDUInputs',
    'RoadAnomalyDataset',
    'SHIFTS',
    'SMIYCDataset',
    'ShiftImage',
    'StreetHazardsDataset',
    'TrainingLabels',
    'VoidOoD',
    'WithShift',
    'shifted',
    'with_held_out',
]
