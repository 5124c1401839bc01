"""Label Studio: tasks with predictions, and the labelling set-up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.fileio import write_json

from .import_file import (
    IMPORTS,
    LOOK_HERE,
    class_masks,
    run_lengths,
    write_xml,
)

IMAGE, BRUSH, BOX = 'image', 'prediction', 'region'
CHANNELS = 4  # of the picture that a brush paints
WORD = 8  # bits of a value
RUN_SIZES = (4, 8, 12, 16)  # bits that may hold a length


@IMPORTS.register('labelstudio')
def write_label_studio(
    where: Path, images: Sequence[RankedImage], classes: Sequence[str]
) -> list[Path]:
    """Tasks to import, and the XML of the labelling interface."""
    tasks = where.with_name(f'{where.name}.json')
    write_json(
        tasks,
        [_task(rank, each, classes) for rank, each in enumerate(images, 1)],
    )
    view = ElementTree.Element('View')
    ElementTree.SubElement(view, 'Image', name=IMAGE, value='$image')
    kinds = (('BrushLabels', BRUSH, classes), ('RectangleLabels', BOX, None))
    for kind, name, labels in kinds:
        tag = ElementTree.SubElement(view, kind, name=name, toName=IMAGE)
        for label in labels or [LOOK_HERE]:
            ElementTree.SubElement(tag, 'Label', value=label)
    setup = where.with_name(f'{where.name}.xml')
    write_xml(setup, view)
    return [tasks, setup]


def _task(
    rank: int, image: RankedImage, classes: Sequence[str]
) -> dict[str, Any]:
    path = quote(os.fsencode(os.path.abspath(image.image).lstrip('/')))
    return dict(
        data=dict(
            image=f'/data/local-files/?d={path}',
            rank=rank,
            image_score=image.score,
            label=image.label,
            predicted=image.predicted,
            kind=image.kind,
        ),
        predictions=[
            dict(
                model_version='mmseg_ddu',
                result=list(_results(image, classes)),
            )
        ],
    )


def _results(
    image: RankedImage, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """A brush for each class, and a box around the region."""
    height, width = image.size
    shared = dict(
        to_name=IMAGE,
        original_width=width,
        original_height=height,
        image_rotation=0,
    )
    found = []
    for name, mask in class_masks(image, classes).items():
        value = dict(format='rle', rle=brush(mask), brushlabels=[name])
        brushed = dict(type='brushlabels', from_name=BRUSH, value=value)
        number = classes.index(name)
        found.append(dict(id=f'class-{number}', **brushed, **shared))
    if image.box:
        sides = (width, height) * 2
        names = ('x', 'y', 'width', 'height')
        percent = (100 * a / b for a, b in zip(image.box, sides))
        value = dict(zip(names, percent), rotation=0)
        value['rectanglelabels'] = [LOOK_HERE]
        boxed = dict(type='rectanglelabels', from_name=BOX, value=value)
        found.append(dict(id='region', **boxed, **shared))
    return found


def brush(mask: np.ndarray) -> list[int]:
    """A mask as the bytes of a brush, which are of the form rle-pack.

    Behind a head (number of values, bits of a value, and of each size of a
    length) come runs: a bit that says it is one, which size its length has,
    its length less one, and its value.

    Args:
        mask (np.ndarray): (H, W) bool.
    """
    bits = [f'{CHANNELS * mask.size:032b}', f'{WORD - 1:05b}']
    bits += [f'{size - 1:04b}' for size in RUN_SIZES]
    longest = 1 << RUN_SIZES[-1]
    for place, run in enumerate(run_lengths(mask.ravel())):
        value = f'{255 * (place % 2):0{WORD}b}'
        left = CHANNELS * run
        while left:
            length = min(left, longest)
            left -= length
            size = next(n for n, b in enumerate(RUN_SIZES) if length <= 1 << b)
            bits.append(f'1{size:02b}{length - 1:0{RUN_SIZES[size]}b}{value}')
    every = np.frombuffer(''.join(bits).encode(), np.uint8) - ord('0')
    return np.packbits(every).tolist()
