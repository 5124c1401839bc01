"""CVAT: a file of "CVAT for images 1.1" for the images of a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from mmseg_ddu.apis.ranking.ranked_image import RankedImage

from .import_file import (
    IMPORTS,
    LOOK_HERE,
    class_masks,
    run_lengths,
    short_names,
    write_xml,
)

KIND = 'kind'  # attribute of the box
ATTRIBUTE = dict(
    name=KIND, mutable='False', input_type='text', default_value='', values=''
)


@IMPORTS.register('cvat')
def write_cvat(
    where: Path, images: Sequence[RankedImage], classes: Sequence[str]
) -> list[Path]:
    """A mask for each class of an image, and a box around the region.

    The box has the kind of label error as an attribute, if there is one.
    """
    root = ElementTree.Element('annotations')
    ElementTree.SubElement(root, 'version').text = '1.1'
    task = ElementTree.SubElement(ElementTree.SubElement(root, 'meta'), 'task')
    labels = ElementTree.SubElement(task, 'labels')
    for name, kind in [*((c, 'mask') for c in classes), (LOOK_HERE, 'any')]:
        label = ElementTree.SubElement(labels, 'label')
        ElementTree.SubElement(label, 'name').text = name
        ElementTree.SubElement(label, 'type').text = kind
        attributes = ElementTree.SubElement(label, 'attributes')
        if name == LOOK_HERE:
            declared = ElementTree.SubElement(attributes, 'attribute')
            for tag, text in ATTRIBUTE.items():
                ElementTree.SubElement(declared, tag).text = text
    for number, (image, name) in enumerate(zip(images, short_names(images))):
        height, width = image.size
        element = ElementTree.SubElement(
            root,
            'image',
            id=str(number),
            name=name,
            width=str(width),
            height=str(height),
        )
        _add_shapes(element, image, classes)
    path = where.with_name(f'{where.name}.xml')
    write_xml(path, root)
    return [path]


def _add_shapes(
    element: ElementTree.Element, image: RankedImage, classes: Sequence[str]
) -> None:
    shared = dict(source='auto', occluded='0', z_order='0')
    for name, mask in class_masks(image, classes).items():
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        ElementTree.SubElement(
            element,
            'mask',
            label=name,
            rle=', '.join(map(str, run_lengths(part.ravel()))),
            left=str(columns[0]),
            top=str(rows[0]),
            width=str(part.shape[1]),
            height=str(part.shape[0]),
            **shared,
        )
    if image.box:
        left, top, width, height = image.box
        corners = dict(
            xtl=left, ytl=top, xbr=left + width, ybr=top + height
        ).items()
        box = ElementTree.SubElement(
            element,
            'box',
            label=LOOK_HERE,
            **{name: f'{value:.2f}' for name, value in corners},
            **shared,
        )
        if image.kind:
            kind = ElementTree.SubElement(box, 'attribute', name=KIND)
            kind.text = image.kind
