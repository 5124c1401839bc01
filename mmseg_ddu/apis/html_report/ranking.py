"""A list of images to look at first, from a CSV file."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

SIDES = ('left', 'top', 'width', 'height')


class Ranking:
    """What ``tools/rank_images.py`` wrote, or anybody.

    Args:
        path (Path): CSV with the columns ``rank``, ``image`` and ``score``;
            for a box, in pixels, ``left``, ``top``, ``width`` and
            ``height``; for words ``label`` and ``predicted``.

    Raises:
        ValueError: If it is not of that form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open(
                newline='', encoding='utf-8', errors='surrogateescape'
            ) as file:
                rows = [_row(each) for each in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(
                f'{path} is no list of ranked images: it needs the columns '
                f'rank, image and score, and numbers in them ({error}).'
            ) from error
        self.rows = {row.pop('image'): row for row in reversed(rows)}

    def rows_of(self, images: Mapping[str, str]) -> dict[str, dict]:
        """The rows of images, found by path, or by a file name of only one.

        Args:
            images (Mapping[str, str]): Any key to the path of an image.
        """
        by_name = _alone({image: image for image in self.rows})
        names = _alone(images)
        found = {}
        for key, image in images.items():
            name = Path(image).name
            if image not in self.rows and names.get(name) == key:
                image = by_name.get(name, image)
            if image in self.rows:
                found[key] = self.rows[image]
        return found


def _alone(images: Mapping[str, str]) -> dict[str, str]:
    """File names of only one image to its key."""
    names = Counter(Path(image).name for image in images.values())
    return {
        Path(image).name: key
        for key, image in images.items()
        if names[Path(image).name] == 1
    }


def _row(cells: dict[str, str]) -> dict:
    box = [cells.get(side) for side in SIDES]
    words = {key: cells.get(key) or '' for key in ('label', 'predicted')}
    row = dict(
        image=cells['image'],
        rank=int(cells['rank']),
        score=float(cells['score']),
        box=[float(side) for side in box] if all(box) else None,
        **words,
    )
    numbers = (row['score'], *(row['box'] or ()))
    if not all(map(math.isfinite, numbers)):
        raise ValueError('not all numbers are finite')
    return row
