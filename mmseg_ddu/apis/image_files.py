"""Finding image files, and telling whether one can be used."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from .output_names import output_names

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
# What OpenCV reads too. Pillow knows more, and starts a program for some.
FORMATS = (
    *('BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF'),
    'WEBP',
)
MAX_PIXELS = 178_956_970  # where Pillow refuses by itself
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, not compressed
_METADATA = 1 << 26


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
    if not isinstance(images, (str, os.PathLike)):
        files = list(dict.fromkeys(Path(image) for image in images))
        names = output_names([Path(file.name) for file in files], files)
        return dict(zip(names, files))
    path = Path(images)
    if path.is_file():
        return dict.fromkeys(output_names([Path(path.name)], [path]), path)
    if not path.is_dir():
        raise FileNotFoundError(f'There is no image or folder {path}.')
    suffixes = (*SUFFIXES, *([suffix.lower()] if suffix else ()))
    files = sorted(_walk(path, exclude, suffixes))
    if not files:
        known = ', '.join(dict.fromkeys(suffixes))
        raise FileNotFoundError(
            f'There is no image in {path}; looked for {known}.'
        )
    names = output_names([file.relative_to(path) for file in files], files)
    return dict(zip(names, files))


def _walk(
    folder: Path,
    exclude: str | os.PathLike | None,
    suffixes: tuple[str, ...],
) -> Iterator[Path]:
    """Images, and folders that may not be read."""
    errors: list[OSError] = []
    avoided = None if exclude is None else os.path.realpath(exclude)
    for root, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [
            name
            for name in folders
            if os.path.realpath(os.path.join(root, name)) != avoided
        ]
        for name in names:
            if name.lower().endswith(suffixes):
                yield Path(root, name)
    yield from (Path(error.filename) for error in errors)


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
            header = file.read(8)
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
        return (
            int(tags[TiffImagePlugin.IMAGEWIDTH]),
            int(tags[TiffImagePlugin.IMAGELENGTH]),
        )
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
