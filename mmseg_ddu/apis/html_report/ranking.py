"""A list of images to look at first, from a CSV file."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

NEEDED = ('rank', 'image', 'score')
SIDES = ('left', 'top', 'width', 'height')
WORDS = ('label', 'predicted', 'kind')


def read_ranking(path: Path) -> dict[str, dict]:
    """What ``tools/rank_images.py`` wrote, or anybody: image to its row.

    The columns are ``rank``, ``image`` and ``score``; for a box, in pixels,
    ``left``, ``top``, ``width`` and ``height``; for words ``label``,
    ``predicted`` and ``kind``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not of that form.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no ranking {path}; run tools/rank_images.py first.'
        )
    try:
        with path.open(
            newline='', encoding='utf-8-sig', errors='surrogateescape'
        ) as file:
            reader = csv.DictReader(file)
            missing = {*NEEDED}.difference(reader.fieldnames or ())
            if missing:
                raise ValueError(f'missing: {", ".join(sorted(missing))}')
            rows = [(each['image'], _row(each)) for each in reader]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f'{path} is no list of ranked images: it needs the columns rank, '
            f'image and score, and numbers in them ({error}).'
        ) from error
    return dict(reversed(rows))


def _row(cells: dict[str, str]) -> dict:
    box = [cells.get(side) for side in SIDES]
    row = dict(
        rank=int(cells['rank']),
        score=float(cells['score']),
        box=[float(side) for side in box] if all(box) else None,
    )
    if not all(map(math.isfinite, (row['score'], *(row['box'] or ())))):
        raise ValueError('not all numbers are finite')
    return dict(row, **{word: cells.get(word) or '' for word in WORDS})


def rows_of(
    images: Mapping[str, str], ranking: Mapping[str, dict]
) -> dict[str, dict]:
    """The rows of images, found by path, or by a file name of only one.

    Args:
        images (Mapping[str, str]): Any key to the path of an image.
        ranking (Mapping[str, dict]): Of :func:`read_ranking`.
    """
    by_name = {Path(image).name: row for image, row in ranking.items()}
    counts = [
        Counter(Path(image).name for image in paths)
        for paths in (ranking, images.values())
    ]
    found = {}
    for key, image in images.items():
        name = Path(image).name
        if image in ranking:
            found[key] = ranking[image]
        elif all(count[name] == 1 for count in counts):
            found[key] = by_name[name]
    return found
