"""Images of whatever is given: files, folders, arrays, streams, videos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from mmseg_ddu.engine.ranks import reason

from .image_files import find_images

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg')
_MAX_LOST = 250  # frames in a row


@dataclass
class Source:
    """One image of a stream.

    Attributes:
        name (str): File name without suffix, or a running number.
        image (Path or np.ndarray): A file, or (H, W, 3) uint8 BGR; None if
            there is none.
        error (str, optional): Why there is none.
    """

    name: str
    image: Path | np.ndarray | None
    error: str | None = None


def is_single(inputs: object) -> bool:
    """Whether one image is given, and not a collection of them."""
    if isinstance(inputs, (str, os.PathLike)):
        return not (os.path.isdir(inputs) or is_video(inputs))
    return isinstance(inputs, np.ndarray) and inputs.ndim != 4


def is_video(path: str | os.PathLike) -> bool:
    """Whether a path names a video file."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def iter_sources(
    inputs: object, suffix: str | None = None
) -> Iterator[Source]:
    """Images of what ``DDUInferencer`` takes; none is read before its turn.

    Yields:
        Source: With a name that no other has. What is wrong inside an
        iterable is an error of that source alone.
    """
    counts: Counter[str] = Counter()
    for source in _sources(inputs, suffix):
        name = source.name
        while source.name in counts:
            source.name = f'{name}_{counts[name]}'
            counts[name] += 1
        counts[source.name] = 1
        yield source


def count_sources(inputs: object, suffix: str | None = None) -> int | None:
    """How many images there will be, or None where that is not known."""
    if isinstance(inputs, (str, os.PathLike)):
        if is_video(inputs):
            return None
        return len(find_images(inputs, suffix=suffix))
    if is_single(inputs):
        return 1
    return len(inputs) if isinstance(inputs, Sized) else None


def _sources(inputs: object, suffix: str | None) -> Iterator[Source]:
    if isinstance(inputs, (str, os.PathLike)):
        if is_video(inputs) and os.path.isfile(inputs):
            yield from video_frames(Path(inputs))
            return
        for name, file in find_images(inputs, suffix=suffix).items():
            yield Source(name, file)
    elif is_single(inputs):
        yield Source(_number(0), inputs)
    elif isinstance(inputs, Iterable):
        for index, item in enumerate(inputs):
            if not isinstance(item, (str, os.PathLike)):
                yield Source(_number(index), item)
                continue
            try:
                yield from _sources(item, suffix)
            except OSError as error:
                yield Source(Path(item).stem, None, reason(error))
    else:
        raise TypeError(
            'Expected a path, an array, or an iterable of them, but got '
            f'{type(inputs).__name__}.'
        )


def video_frames(path: Path) -> Iterator[Source]:
    """Frames of a video; one that cannot be decoded is an error of its own.

    Raises:
        OSError: If the file is no video that OpenCV can read.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise OSError(f'OpenCV cannot read the video {path}.')
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        lost: list[Source] = []
        for index in range(total) if total > 0 else count():
            name = f'{path.stem}_{_number(index)}'
            good, frame = capture.read()
            if good:
                yield from lost
                lost.clear()
                yield Source(name, frame)
                continue
            if total <= 0:
                return  # the end
            lost.append(Source(name, None, 'the frame cannot be decoded'))
            if len(lost) == _MAX_LOST:
                break
        yield from lost
    finally:
        capture.release()


def _number(index: int) -> str:
    return str(index).zfill(8)
