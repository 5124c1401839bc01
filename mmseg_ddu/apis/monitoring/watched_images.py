"""What is watched of each exported image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.apis.exporting.exported_maps import Export
from mmseg_ddu.apis.exporting.one_image import CLASS_PIXELS, are_counts
from mmseg_ddu.apis.json_form import has_form, is_number, is_text
from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.core.fine_structure import fine_structure, is_whole
from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.fileio import printable
from mmseg_ddu.models.map_names import NOVELTY, PERCENTILE, STATISTICS

UNUSUAL = 'unusual_share'
NEEDED = NOVELTY, UNUSUAL, NOVELTY + PERCENTILE
# What must be the same for numbers to be comparable.
SAME = ('weights_sha256', 'config_sha256', 'tta')


class WatchedImage(NamedTuple):
    """A row of a manifest.

    Attributes:
        name (str): In its export.
        source (str): The manifest.
        key (str): Digest of the name and of all numbers that are watched. If
            there is only an error: of both and of what its export is known
            by, so that the next export may have the same error.
        values (np.ndarray): Novelty, share of unusual pixels, share of each
            class; empty if there is only an error.
        percentile (float): Of the novelty, among training images.
        fine (list[float]): The fine structure, three numbers; empty if
            the export does not have it.
        lost (float): Share of pixels without a score.
        error (str): Why the image was left out, or empty.
    """

    name: str
    source: str
    key: str
    values: np.ndarray
    percentile: float
    fine: list[float]
    lost: float
    error: str


class Stream(NamedTuple):
    """Exported images in order, all of one fit.

    ``statistics`` is how many numbers ``image_statistics`` are; 0 if no image
    has them.
    """

    source: str
    fit: dict[str, Any]
    classes: list[str]
    images: list[WatchedImage]
    statistics: int = 0


def read_stream(
    manifests: str | os.PathLike | Iterable[str | os.PathLike],
) -> Stream:
    """Read one or several manifests, each by its path or its folder.

    Raises:
        ValueError: If one is damaged, of another fit than the others, or of
            a model without fitted densities.
        FileNotFoundError: If one is absent.
    """
    if isinstance(manifests, (str, os.PathLike)):
        manifests = [manifests]
    streams = [_read(Path(path)) for path in manifests]
    if not streams:
        raise ValueError('Expected at least one manifest, but got none.')
    first = streams[0]
    for stream in streams[1:]:
        require_same_fit(stream, first, stream.source)
        first.images.extend(stream.images)
        statistics = first.statistics or stream.statistics
        first = first._replace(statistics=statistics)
    return first


def require_same_fit(stream: Stream, other: Stream, name: str) -> None:
    """Raise unless the numbers of two streams can be compared."""
    different = [k for k in SAME if stream.fit[k] != other.fit[k]]
    if stream.classes != other.classes:
        both = zip_longest(stream.classes, other.classes)
        place, pair = next(x for x in enumerate(both) if x[1][0] != x[1][1])
        different.append(
            f'classes (number {place} is {pair[0]!r:.40} and {pair[1]!r:.40})'
        )
    if 0 < stream.statistics != other.statistics > 0:
        different.append(f'lengths of {STATISTICS}')
    if different:
        raise ValueError(
            f'{name} was not exported as {other.source} was: '
            f'{", ".join(different)} differ. Scores of different fits cannot '
            'be compared; export with the same checkpoint, config and '
            'options.'
        )


def _read(path: Path) -> Stream:
    folder = path.parent if path.name == MANIFEST else path
    export = Export('', folder, all_may_fail=True)
    stream = header_of(export)
    rows = export.manifest['images']
    stream = stream._replace(
        statistics=_size_of_statistics(rows, stream.source)
    )
    good = [
        _good(x, stream.classes, stream.source) if 'files' in x else None
        for x in rows
    ]
    known_by = next((x.key for x in good if x), str(folder.resolve()))
    times: Counter[tuple] = Counter()
    for row, image in zip(rows, good):
        stream.images.append(
            image or _left_out(row, stream.source, known_by, times)
        )
    return stream


def _size_of_statistics(rows: list[dict], source: str) -> int:
    """How many numbers they are for each image that has them."""
    given = [row.get(STATISTICS, []) for row in rows if 'files' in row]
    sound = has_form(given, [[is_number]])
    sizes = {len(numbers) for numbers in given if numbers} if sound else set()
    if not (sound and len(sizes) <= 1 and all(map(is_whole, sizes))):
        raise ValueError(f'{source} is damaged; export the maps again.')
    return max(sizes, default=0)


def header_of(export: Export) -> Stream:
    """What all images of an export share, without the images."""
    source = str(export.path)
    fit = {key: export.manifest.get(key) for key in SAME}
    if not all(isinstance(fit[key], str) for key in SAME[:2]):
        raise ValueError(
            f'{source} does not say which checkpoint and config it is of; '
            'export the maps again.'
        )
    return Stream(source, fit, export.manifest['classes'], [])


def _good(row: dict, classes: list[str], source: str) -> WatchedImage:
    missing = [name for name in (*NEEDED, CLASS_PIXELS) if name not in row]
    if missing:
        raise ValueError(
            f'{source} lacks {", ".join(missing)}: it is of a model without '
            'fitted densities, or of an earlier version. Export again, with '
            'a *_gda.pth of tools/fit_gda.py.'
        )
    extras = row.get('name', ''), row.get('lost_share', 0.0)
    sound = is_text(extras[0]) and is_number(extras[1])
    if not (sound and are_counts(row[CLASS_PIXELS])):
        raise ValueError(f'{source} is damaged; export the maps again.')
    novelty, unusual, percentile = (_number(row[name]) for name in NEEDED)
    pixels = row['height'] * row['width']
    counts = row[CLASS_PIXELS]
    _require_known(counts, classes, source)
    shares = [counts.get(str(c), 0) / pixels for c in range(len(classes))]
    values = [short(value) for value in (novelty, unusual, *shares)]
    name = printable(row.get('name', row['files']['class']))
    fine = _fine(row.get(STATISTICS, []))
    return WatchedImage(
        name,
        source,
        _digest(name, values, fine),
        np.array(values),
        min(max(percentile, 0.0), 1.0),
        fine,
        _number(row.get('lost_share', 0.0)),
        '',
    )


def _require_known(
    counts: dict[str, int], classes: list[str], source: str
) -> None:
    """Raise if a class is predicted that has no name."""
    known = max(2, len(classes))  # a binary network may name one of both
    highest = max(map(int, counts), default=0)
    if classes and highest >= known:
        raise ValueError(
            f'{source} has pixels of a class {highest}, but names '
            f'{len(classes)} classes (0 to {len(classes) - 1}): they are not '
            'those of the fit. Export the maps again.'
        )


def _left_out(
    row: dict, source: str, known_by: str, times: Counter[tuple]
) -> WatchedImage:
    """One that has no numbers; ``times`` counts those that are alike."""
    name = printable(row.get('name', row.get('image', 'without a name')))
    error = printable(row.get('error') or 'no reason given')[:500]
    times[name, error] += 1
    key = _digest(known_by, name, error, times[name, error])
    return WatchedImage(name, source, key, np.zeros(0), 0.0, [], 0.0, error)


def _fine(statistics: list[float]) -> list[float]:
    """Empty where one of them is no number, or beyond all bounds."""
    if not (statistics and all(abs(x) < WORST for x in statistics)):
        return []
    (numbers,) = fine_structure(np.array([statistics]))
    return [short(value) for value in numbers]


def short(value: float) -> float:
    """Four digits, as the log has it."""
    return float(f'{value:.4g}')


def _number(value: float) -> float:
    """What is no number is the worst there is."""
    return float(max(min(value, WORST), -WORST)) if value == value else WORST


def _digest(*parts: object) -> str:
    return digest(list(parts), 16)
