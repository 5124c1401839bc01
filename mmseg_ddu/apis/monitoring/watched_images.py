"""What is watched of each exported image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmseg_ddu.apis.exporting.exported_maps import Export
from mmseg_ddu.apis.exporting.one_image import CLASS_PIXELS
from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.core.fine_structure import fine_structure, is_whole
from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.fileio import printable
from mmseg_ddu.models.map_names import NOVELTY, PERCENTILE, STATISTICS

UNUSUAL = 'unusual_share'
NEEDED = NOVELTY, UNUSUAL, NOVELTY + PERCENTILE, CLASS_PIXELS
# What must be the same for numbers to be comparable.
SAME = ('weights_sha256', 'config_sha256', 'tta')


class Stream(NamedTuple):
    """Exported images in order, all of one fit.

    Attributes:
        source (str): The manifest.
        fit (dict): What must be the same for numbers to be comparable.
        classes (list[str]): Names.
        images (list[dict]): ``name`` (in the export), ``source``, ``key``
            and ``error``: why an image was left out; or, without an error,
            ``numbers`` (the novelty, the share of unusual pixels, that of
            each class), ``values`` (the same by name), ``fine`` (the fine
            structure, three numbers; none if the export does not have it),
            ``lost_share`` and ``percentile`` (of the novelty, among training
            images). The key is a digest of the name and of all numbers that
            are watched; with an error, of both and of what the export is
            known by, so that the next export may have the same error.
        statistics (int): How many numbers ``image_statistics`` are; 0 if no
            image has them.
    """

    source: str
    fit: dict[str, Any]
    classes: list[str]
    images: list[dict[str, Any]]
    statistics: int = 0

    @property
    def names(self) -> list[str]:
        """Of the values of each image."""
        return [NOVELTY, UNUSUAL, *(f'class {c}' for c in self.classes)]


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
    export = Export(path)
    stream = header_of(export)
    rows = export.manifest['images']
    given = [row.get(STATISTICS) for row in rows if 'files' in row]
    sizes = {len(numbers) for numbers in given if numbers}
    if len(sizes) > 1 or not all(map(is_whole, sizes)):
        raise ValueError(f'{export.path} is damaged; export the maps again.')
    good = [_good(x, export, stream) if 'files' in x else None for x in rows]
    folder = str(export.folder.resolve())
    known_by = next((x['key'] for x in good if x), folder)
    times: Counter[tuple] = Counter()
    for row, image in zip(rows, good):
        stream.images.append(
            image or _left_out(row, stream.source, known_by, times)
        )
    return stream._replace(statistics=max(sizes, default=0))


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


def _good(row: dict, export: Export, stream: Stream) -> dict[str, Any]:
    export.require_fitted(row, NEEDED)
    novelty, unusual, percentile = (_number(row[x]) for x in NEEDED[:3])
    counts, pixels = row[CLASS_PIXELS], row['height'] * row['width']
    classes = len(stream.classes)
    highest = max(map(int, counts), default=0)
    # A binary network may name one of both.
    if classes and highest >= max(2, classes):
        raise ValueError(
            f'{stream.source} has pixels of a class {highest}, but names '
            f'{classes} classes (0 to {classes - 1}): they are not those of '
            'the fit. Export the maps again.'
        )
    shares = [counts.get(str(c), 0) / pixels for c in range(classes)]
    values = [short(value) for value in (novelty, unusual, *shares)]
    name = printable(row.get('name', row['files']['class']))
    fine = _fine(row.get(STATISTICS, []))
    return dict(
        name=name,
        source=stream.source,
        key=digest([name, values, fine], 16),
        numbers=values,
        values=dict(zip(stream.names, values)),
        fine=fine,
        lost_share=_number(row.get('lost_share', 0.0)),
        percentile=min(max(percentile, 0.0), 1.0),
    )


def _left_out(
    row: dict, source: str, known_by: str, times: Counter[tuple]
) -> dict[str, Any]:
    """One that has no numbers; ``times`` counts those that are alike."""
    name = printable(row.get('name', row.get('image', 'without a name')))
    error = printable(row.get('error') or 'no reason given')[:500]
    times[name, error] += 1
    key = digest([known_by, name, error, times[name, error]], 16)
    return dict(name=name, source=source, key=key, error=error)


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
