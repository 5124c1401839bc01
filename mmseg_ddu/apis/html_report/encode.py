"""Pictures as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

MAX_SIDE = 320
JPEG_QUALITY = 82


def target_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) with no side above 320 pixels."""
    factor = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def shrink_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The nearest label, (H, W) -> ``size``."""
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)


def photo_uri(path: Path, size: tuple[int, int]) -> str:
    """A photograph as JPEG."""
    with Image.open(path) as opened:
        # Turned by its EXIF tag, as the network saw it.
        image = np.asarray(ImageOps.exif_transpose(opened).convert('RGB'))
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return _uri(Image.fromarray(image), 'JPEG', quality=JPEG_QUALITY)


def labels_uri(labels: np.ndarray, colors: Sequence) -> str:
    """A label map as PNG with a palette; label n is in the n-th colour."""
    image = Image.fromarray(labels.astype(np.uint8), mode='P')
    image.putpalette(np.asarray(colors, np.uint8).ravel().tolist())
    return _uri(image, 'PNG', optimize=True)


def grey_uri(levels: np.ndarray) -> str:
    """An 8-bit map as grey PNG, exact to the level."""
    return _uri(Image.fromarray(levels.astype(np.uint8)), 'PNG', optimize=True)


def file_uri(path: Path) -> str:
    """A PNG file as it is."""
    return _data('image/png', path.read_bytes())


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return _data(f'image/{kind.lower()}', buffer.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
