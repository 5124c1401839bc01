"""Images of whatever is given: files, folders, arrays, streams, videos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .image_files import find_images

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg')
_MAX_LOST = 250  # frames in a row, where a video does not tell its length


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
        return not (Path(inputs).is_dir() or is_video(inputs))
    return isinstance(inputs, np.ndarray) and inputs.ndim != 4


def is_video(path: object) -> bool:
    """Whether a path names a video file."""
    return (
        isinstance(path, (str, os.PathLike))
        and Path(path).suffix.lower() in VIDEO_SUFFIXES
    )


def iter_sources(
    inputs: object, suffix: str | None = None
) -> Iterator[Source]:
    """Images one by one; nothing is read before its turn.

    Args:
        inputs: What ``DDUInferencer`` takes.
        suffix (str, optional): Of images beside the usual ones.

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
        return (
            None
            if is_video(inputs)
            else len(find_images(inputs, suffix=suffix))
        )
    if is_single(inputs):
        return 1
    return len(inputs) if isinstance(inputs, Sized) else None


def reason(error: Exception) -> str:
    """What is said of an image that cannot be used."""
    return f'{type(error).__name__}: {error}'


def _sources(inputs: object, suffix: str | None) -> Iterator[Source]:
    if isinstance(inputs, (str, os.PathLike)):
        yield from _path_sources(Path(inputs), suffix)
    elif isinstance(inputs, np.ndarray) and inputs.ndim != 4:
        yield Source(_number(0), inputs)
    elif isinstance(inputs, Iterable):
        for index, item in enumerate(inputs):
            if not isinstance(item, (str, os.PathLike)):
                yield Source(_number(index), item)
                continue
            try:
                yield from _path_sources(Path(item), suffix)
            except OSError as error:
                yield Source(Path(item).stem, None, reason(error))
    else:
        raise TypeError(
            'Expected a path, an array, or an iterable of them, but got '
            f'{type(inputs).__name__}.'
        )


def _path_sources(path: Path, suffix: str | None) -> Iterator[Source]:
    if is_video(path) and path.is_file():
        yield from video_frames(path)
        return
    for name, file in find_images(path, suffix=suffix).items():
        yield Source(name, file)


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
        index = 0
        while len(lost) < _MAX_LOST and (total <= 0 or index < total):
            name = f'{path.stem}_{_number(index)}'
            index += 1
            good, frame = capture.read()
            if not good:
                lost.append(Source(name, None, 'the frame cannot be decoded'))
                if total <= 0:
                    return
                continue
            yield from lost
            lost.clear()
            yield Source(name, frame)
        yield from lost
    finally:
        capture.release()


def _number(index: int) -> str:
    return str(index).zfill(8)
