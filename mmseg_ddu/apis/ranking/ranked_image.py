"""An image with its score, and the files that list such images."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmseg_ddu.fileio import atomic_write

from .worst_region import Box

COLUMNS = (
    *('rank', 'image', 'score', 'left', 'top', 'width', 'height'),
    *('label', 'predicted', 'kind'),
)


class RankedImage(NamedTuple):
    """An image to look at.

    Attributes:
        image (str): Its file.
        score (float): Higher ones come first.
        size (tuple): Height and width.
        box (tuple, optional): Left, top, width and height of the worst
            region, in pixels.
        label (str): What most of the region is labelled as, or empty.
        predicted (str): What it is predicted as, or empty.
        kind (str): The kind of label error that it looks like, or empty.
        read_classes (Callable): Gives the predicted classes, (H, W) uint8.
        refused_share (float): Of the pixels, those without such a class.
        find_region (Callable, optional): Gives ``box`` and ``predicted``
            where they are not known yet.
    """

    image: str
    score: float
    size: tuple[int, int]
    read_classes: Callable[[], np.ndarray]
    box: Box | None = None
    label: str = ''
    predicted: str = ''
    kind: str = ''
    refused_share: float = 0.0
    find_region: Callable[[], tuple[Box | None, str]] | None = None

    def row(self, rank: int) -> dict[str, Any]:
        """For JSON."""
        return dict(
            rank=rank,
            image=self.image,
            score=self.score,
            size=self.size,
            box=self.box,
            label=self.label,
            predicted=self.predicted,
            kind=self.kind,
        )


def write_csv(path: Path, images: Sequence[RankedImage]) -> None:
    """A line for each image, the first one first."""
    with (
        atomic_write(path) as temporary,
        # File names may hold bytes that are no text.
        temporary.open(
            'w', newline='', encoding='utf-8', errors='surrogateescape'
        ) as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for rank, each in enumerate(images, 1):
            box = each.box or [''] * 4
            score = f'{each.score:.6g}'
            named = each.label, each.predicted, each.kind
            writer.writerow([rank, each.image, score, *box, *named])
