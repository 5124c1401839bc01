"""The monitor of a stream of exported images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger

from mmseg_ddu.apis.page_templates import write_page
from mmseg_ddu.core.drift import DriftDetector
from mmseg_ddu.core.errors import require
from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.fileio import alone_at, require_writable_file

from .alarm_words import alarm_of
from .drift_page import drift_content
from .monitor_files import MonitorFiles
from .new_images import new_images
from .watched_images import read_stream, require_same_fit, short

Paths = str | os.PathLike | Iterable[str | os.PathLike]
FORMAT = 3
LINE = ('name', 'key', 'error', 'values', 'fine', 'lost_share')
FIT_RANKS = 100  # of a novelty among training images; fits may have few
NO_REFERENCE = (
    'Without a reference, the stream is compared with its own beginning and, '
    'for the novelty, with the training images: the stated rate of false '
    'alarms is then only approximate, and what is strange from the first '
    'image on shows in the novelty alone. Give an export of ordinary images '
    'that the model was not fitted on (--reference).'
)


class DriftMonitor:
    """Says when exported images are no longer what they were.

    Watched are the novelty of each image, its share of unusual pixels, and
    its share of each class: a third of the rate of false alarms each, that
    of the classes in equal parts. See :mod:`mmseg_ddu.core.drift`.

    Beside the state two more files are written: ``.jsonl``, a line an
    image, and ``.html``, control charts.

    Args:
        state (str): JSON file to begin, or to go on from.
        reference (str or list, optional): Exports of ordinary images that
            the model was not fitted on.
        false_alarms (float): Most false alarms an image, on average, as long
            as images are exchangeable with the reference.

    Attributes:
        lines (list[dict]): A line for each image so far: ``number``,
            ``name``, ``key``, ``alarms``, and either ``error`` or
            ``values``, ``p``, ``level`` (of each detector; 1 is an alarm),
            ``fine`` (the fine structure) and ``lost_share``. An alarm has
            ``statistic``, ``rose``, ``now``, ``before``, ``since``,
            ``fine_structure_changed`` (null if nobody can say), ``images``
            and ``words``.

    Example:
        >>> monitor = DriftMonitor('drift.json', 'val/')  # doctest: +SKIP
        >>> new = monitor.watch(['monday/', 'tuesday/'])  # doctest: +SKIP
        >>> [a['words'] for x in new for a in x['alarms']]  # doctest: +SKIP
    """

    def __init__(
        self,
        state: str | os.PathLike,
        reference: Paths | None = None,
        *,
        false_alarms: float = 0.001,
    ) -> None:
        self.files = MonitorFiles(Path(state))
        for path in (self.files.path, self.files.log, self.files.page):
            require_writable_file(path)
        self.reference = None if reference is None else read_stream(reference)
        known = self.reference.images if self.reference else []
        self.ordinary = [image for image in known if 'error' not in image]
        if self.reference and not self.ordinary:
            raise ValueError(
                f'{self.reference.source} has no image with numbers; give a '
                'reference of images that can be read.'
            )
        times = Counter(image['key'] for image in self.ordinary)
        for image in self.ordinary:
            if times[image['key']] > 1:
                raise ValueError(
                    f'{image["name"]} is twice in the reference, with the '
                    'same numbers. Give each image once: the rate of false '
                    'alarms rests on it.'
                )
        self.false_alarms = false_alarms
        self.lines: list[dict[str, Any]] = []

    def watch(self, manifests: Paths) -> list[dict[str, Any]]:
        """Take in what is new of exported images, in the given order.

        Images that were taken in before are passed over; they must come
        first, in their order, and with the same numbers. One that was left
        out before and has numbers now is new.

        Args:
            manifests (str or list): ``manifest.json`` files or their
                folders.

        Returns:
            list[dict]: The lines of new images.

        Raises:
            ValueError: If images are of another fit, out of order, twice in
                the stream or otherwise than they were, or the state was
                begun with other settings.
            BlockingIOError: If another process is at work on the state.
        """
        stream = read_stream(manifests)
        if self.reference is not None:
            require_same_fit(stream, self.reference, 'The stream')
        names = stream.names
        known = [image['key'] for image in self.ordinary]
        settings = dict(
            format=FORMAT,
            fit=stream.fit,
            classes=stream.classes,
            reference=digest(known, 16) if known else None,
            false_alarms=self.false_alarms,
        )
        with alone_at(self.files.path):
            self.lines, state = self.files.read(settings, names)
            detector = self._detector(len(names), state)
            start = len(self.lines)
            for image in new_images(stream.images, self.lines, {*known}):
                self.lines.append(self._line(image, names, detector))
            new = self.lines[start:]
            self.files.write(new, settings, detector.state())
            charts = drift_content(self.lines, settings, {})
            page = self.files.page
            write_page(page, 'drift.html', title='Drift', drift=charts)
        return new

    def _detector(self, count: int, state: dict | None) -> DriftDetector:
        ordinary = np.array([image['numbers'] for image in self.ordinary])
        if self.reference is None:
            ordinary = np.zeros((0, count))
            if state is None:
                MMLogger.get_current_instance().warning(NO_REFERENCE)
        classes = count - 2  # beside the novelty and the unusual pixels
        weights = [1.0, 1.0, *[1 / max(1, classes)] * classes]
        detector = DriftDetector(weights, self.false_alarms, ordinary)
        if state is not None:
            try:
                detector.load_state(state['detector'])
                good = sum('error' not in line for line in self.lines)
                require(detector.seen == good, f'{good} images', detector.seen)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise ValueError(
                    f'{self.files.path} is damaged ({error}); begin another '
                    'state.'
                ) from error
        return detector

    def _line(
        self, image: dict, names: list[str], detector: DriftDetector
    ) -> dict[str, Any]:
        told = {key: image[key] for key in LINE if key in image}
        line = dict(number=len(self.lines), **told, alarms=[])
        if 'error' in line:
            return line
        given = {}
        if self.reference is None:
            higher = int((1 - image['percentile']) * FIT_RANKS)
            given[0] = (min(higher, FIT_RANKS - 1), FIT_RANKS - 1)
        step = detector.update(np.array(image['numbers']), given)
        for key, numbers in dict(p=step.p, level=step.level).items():
            line[key] = {n: short(v) for n, v in zip(names, numbers)}
        for k, start, rose in zip(step.alarms, step.since, step.rose):
            good = [x for x in self.lines if 'error' not in x] + [line]
            before = [*self.ordinary, *good[:start]]
            alarm = alarm_of(names[k], rose, before, good[start:])
            line['alarms'].append(alarm)
        return line
