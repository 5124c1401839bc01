"""What import files share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.core.name_registry import NameRegistry

# Each is a function of where to write (without suffix), the images and the
# names of the classes, that gives the files it wrote.
IMPORTS = NameRegistry('an import format')
LOOK_HERE = 'look here'  # the label of the worst region


def short_names(images: Sequence[RankedImage]) -> list[str]:
    """Paths below the folder that all images share."""
    paths = [os.path.abspath(each.image) for each in images]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(path).relative_to(shared).as_posix() for path in paths]


def class_masks(
    image: RankedImage, classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Name of each predicted class to (H, W) bool; refused pixels have none.

    Raises:
        ValueError: If the prediction is not of the size of the image.
    """
    predicted = image.read_classes()
    if predicted.shape != image.size:
        raise ValueError(
            f'The prediction of {image.image} is of {predicted.shape}, but '
            f'the image of {image.size}.'
        )
    found = {}
    for number in np.unique(predicted).tolist():
        if number < len(classes):
            found[classes[number]] = predicted == number
    return found


def run_lengths(values: np.ndarray) -> list[int]:
    """Of false and true in turn, beginning with false, which may be 0.

    Args:
        values (np.ndarray): (N,) bool.
    """
    changes = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff([0, *changes, len(values)]).tolist()
    return [0, *runs] if values[0] else runs
