"""Finding image files, naming their outputs, and telling if one is sound."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from mmseg_ddu.fileio import TEMPORARY

from . import writers

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
# What OpenCV reads too. Pillow knows more, and starts a program for some.
FORMATS = [
    'BMP',
    'DIB',
    'GIF',
    'JPEG',
    'JPEG2000',
    'PNG',
    'PPM',
    'TIFF',
    'WEBP',
]
MAX_PIXELS = 178_956_970  # where Pillow refuses by itself
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, not compressed
_METADATA = 1 << 26
MAX_PART = 255  # bytes; file systems allow no more
MAX_NAME = 1000
_CUT = 200  # bytes kept of a name that is too long


def find_images(
    images: str | os.PathLike | Sequence[str | os.PathLike],
    exclude: str | os.PathLike | None = None,
    suffix: str | None = None,
) -> dict[str, Path]:
    """Output name to file, for one image, a folder tree, or a list.

    A folder is searched by suffix. Links to files are followed, links to
    folders are not. A folder that may not be read stands for the images in
    it, and fails as an image does.

    Args:
        images (str or list): What to export.
        exclude (str, optional): A folder that is not searched, where the
            outputs are.
        suffix (str, optional): Of images beside the usual ones, the
            ``img_suffix`` of a config whose loader reads others.

    Raises:
        FileNotFoundError: If there is none.
    """
    folder = None
    if not isinstance(images, (str, os.PathLike)):
        files = list(dict.fromkeys(map(Path, images)))
    elif os.path.isdir(images):
        folder = Path(images)
        suffixes = (*SUFFIXES, suffix.lower()) if suffix else SUFFIXES
        files = sorted(_walk(folder, exclude, suffixes))
        if not files:
            raise FileNotFoundError(
                f'There is no image in {folder}; looked for '
                f'{", ".join(suffixes)}.'
            )
    elif os.path.isfile(images):
        files = [Path(images)]
    else:
        raise FileNotFoundError(f'There is no image or folder {images}.')
    below = [f.relative_to(folder) if folder else Path(f.name) for f in files]
    return dict(zip(output_names(below, files), files))


def _walk(
    folder: Path, exclude: str | os.PathLike | None, suffixes: tuple[str, ...]
) -> Iterator[Path]:
    """Images, and folders that may not be read."""
    errors: list[OSError] = []
    avoided = None if exclude is None else os.path.realpath(exclude)
    for root, folders, names in os.walk(folder, onerror=errors.append):
        if os.path.realpath(root) == avoided:
            folders.clear()
            continue
        for name in names:
            if name.lower().endswith(suffixes):
                yield Path(root, name)
    yield from (Path(error.filename) for error in errors)


def output_names(
    relative: Sequence[PurePath], files: Sequence[Path]
) -> Iterator[str]:
    """A name for each input, without suffix where that is unambiguous.

    Upper and lower case, and the ways to encode an accent, count as the
    same, as some file systems have it. Where a name would be too long, or
    its files those of an earlier image, it is the file's own name with a
    digest of the path behind, without folders.

    Args:
        relative (Sequence[PurePath]): Where each input lies below the
            folder that was given, or its name.
        files (Sequence[Path]): The same, as unique paths.
    """
    endings = {kind.ending for kind in writers.FORMATS.values()}
    longest = MAX_PART - max(map(len, endings))
    relative = [path if path.name else PurePath('image') for path in relative]
    stems = Counter(_key(path.with_suffix('')) for path in relative)
    taken: dict[str, bool] = {}  # path to whether it is a file
    for path, file in zip(relative, files):
        stem = path.with_suffix('')
        name = str(path if stems[_key(stem)] > 1 else stem)
        for salt in count():
            key = _key(name)
            outputs = {key + ending for ending in endings}
            folders = {str(parent) for parent in PurePath(key).parents}
            if (
                _fits(name, longest)
                and not any(map(taken.__contains__, outputs))
                and not any(map(taken.get, folders))
            ):
                break
            name = _with_digest(path.name, f'{salt} {file}')
        taken.update(dict.fromkeys(folders, False))
        taken.update(dict.fromkeys(outputs, True))
        yield name


def _key(name: str | PurePath) -> str:
    folded = unicodedata.normalize('NFC', str(name)).casefold()
    return unicodedata.normalize('NFC', folded)


def _fits(name: str, longest: int) -> bool:
    if PurePath(name).name.startswith(TEMPORARY):  # would be cleaned up
        return False
    parts = [len(os.fsencode(part)) for part in PurePath(name).parts]
    return max(parts, default=0) <= longest and sum(parts) <= MAX_NAME


def _with_digest(name: str, text: str) -> str:
    kept = os.fsencode(name.lstrip('.'))[:_CUT].decode('utf-8', 'ignore')
    return f'{kept}~{hashlib.sha256(os.fsencode(text)).hexdigest()[:12]}'


def check_image(image: object, max_pixels: int = MAX_PIXELS) -> None:
    """Raise if an image is damaged, cut off, too large, or none.

    OpenCV fills the missing part of a cut-off JPEG with grey and says
    nothing. Nothing is decoded before the size is known.

    Args:
        image (Path or np.ndarray): A file, or (H, W, 3) uint8, the only form
            of arrays that is clear.
        max_pixels (int): Most pixels of a file.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it is too large, or an array of another form.
        TypeError: If it is neither.
    """
    if isinstance(image, Path):
        _check_file(image, max_pixels)
    elif not isinstance(image, np.ndarray):
        raise TypeError(
            'Expected an image as path or numpy array, but got '
            f'{type(image).__name__}.'
        )
    elif image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            'Expected an image of shape (H, W, 3) and type uint8 (BGR), but '
            f'got {image.shape} and {image.dtype}.'
        )
    elif not image.size:
        raise ValueError('the image has no pixel')


def _check_file(path: Path, max_pixels: int) -> None:
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for ever
        raise OSError('it is not a regular file')
    if info.st_size == 0:
        raise OSError('the file is empty')
    if info.st_size > _BYTES_PER_PIXEL * max_pixels + _METADATA:
        raise ValueError(
            f'the file has {info.st_size:,} bytes, more than an image of '
            f'{max_pixels:,} pixels needs (--max-pixels)'
        )
    try:
        with _no_limit_of_pillow(), Image.open(path, formats=FORMATS) as image:
            _check_size(*image.size, max_pixels)
            image.load()
    except UnidentifiedImageError:
        if path.suffix.lower() not in SUFFIXES:
            return  # that is for a loader of the user's own
        size = _size_of_tiff(path)  # Pillow knows no floats in three channels
        if size is None:
            raise
        _check_size(*size, max_pixels)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ValueError(
            f'the image has {width} x {height} pixels, more than '
            f'{max_pixels:,}; a higher --max-pixels allows it'
        )


def _size_of_tiff(path: Path) -> tuple[int, int] | None:
    """Width and height from the header, None if it is no whole one."""
    try:
        with path.open('rb') as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(tags.next)
            tags.load(file)
        width, height = TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH
        return int(tags[width]), int(tags[height])
    except Exception:  # whatever a damaged header makes Pillow raise
        return None


@contextmanager
def _no_limit_of_pillow() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
