"""What import files share."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from mmengine.logging import MMLogger

from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.core.name_registry import NameRegistry
from mmseg_ddu.fileio import atomic_write

# Each is a function of where to write (without suffix), the images and the
# names of the classes, that gives the files it wrote.
IMPORTS = NameRegistry('an import format')
LOOK_HERE = 'look here'  # the label of the worst region
_NOT_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def possible_files(where: Path) -> list[Path]:
    """What a format may write, to be tried before the work."""
    return [where.with_name(f'{where.name}.{end}') for end in ('json', 'xml')]


def short_names(images: Sequence[RankedImage]) -> list[str]:
    """Paths below the folder that all images share."""
    paths = [os.path.abspath(each.image) for each in images]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(path).relative_to(shared).as_posix() for path in paths]


def write_xml(path: Path, root: ElementTree.Element) -> None:
    """Write XML; characters that it cannot hold become escapes, as \\x01."""
    escaped: dict[str, str] = {}

    def held(text: str) -> str:
        if _NOT_XML.search(text):
            escaped[text] = _NOT_XML.sub(_escape, text)
        return escaped.get(text, text)

    for element in root.iter():
        element.text = element.text and held(element.text)
        for key, value in element.items():
            element.set(key, held(value))
    for text, instead in escaped.items():
        MMLogger.get_current_instance().warning(
            f'{path} has {instead!r} for {text!r}, which holds characters '
            'that XML cannot, so the label tool may not find it: rename it.'
        )
    with atomic_write(path) as temporary:
        # Without a declaration, which Label Studio does not take in a text.
        ElementTree.ElementTree(root).write(temporary, 'utf-8')


def _escape(found: re.Match[str]) -> str:
    return found[0].encode('unicode_escape').decode()


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
    found, nameless = {}, []
    for number in np.unique(predicted).tolist():
        if number < len(classes):
            found[classes[number]] = predicted == number
        elif number != VOID:
            nameless.append(number)
    if nameless:
        MMLogger.get_current_instance().warning(
            f'{image.image}: the predicted classes {nameless} are not in the '
            f'import file, since they have no names (of {len(classes)} that '
            'are known).'
        )
    return found


def run_lengths(values: np.ndarray) -> list[int]:
    """Of false and true in turn, beginning with false, which may be 0.

    Args:
        values (np.ndarray): (N,) bool.
    """
    changes = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff([0, *changes, len(values)]).tolist()
    return [0, *runs] if values[0] else runs
