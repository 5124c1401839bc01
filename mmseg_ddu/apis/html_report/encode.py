"""Pictures as data URIs, and scores as levels that a picture can hold.

Levels are 8 bits that are fine where scores are rare. Level 255 is a pixel
without a score. The others part the pixels of all images: half of them what
is below the 90th percentile, half of them what is above, up to one pixel in
ten thousand.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_ddu.core.bounds import is_lost
from mmseg_ddu.visualization.heatmap import to_bytes

MAX_SIDE = 320
JPEG_QUALITY = 82
LOST = 255
SAMPLES = 2_000_000
# Of the pixels that are not above the upper end of a level.
SHARES = np.concatenate(
    [np.linspace(0, 0.9, 128)[1:], 1 - np.geomspace(0.1, 1e-4, 128)[1:], [1]]
)


def target_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) with no side above 320 pixels."""
    factor = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def shrink_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The nearest label, (H, W) -> ``size``."""
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)


def shrink_scores(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Means over areas of the pixels that have a score.

    Args:
        values (np.ndarray): (H, W).
        size (tuple): (h, w).

    Returns:
        np.ndarray: (h, w) float32, infinite where most have none.
    """
    lost = is_lost(values)
    kept = np.stack([np.where(lost, 0, values), ~lost], 2).astype(np.float32)
    total, share = np.moveaxis(
        cv2.resize(kept, size[::-1], interpolation=cv2.INTER_AREA), 2, 0
    )
    mean = total / np.maximum(share, 1e-6)
    return np.where(share > 0.5, mean, np.float32(np.inf))


def level_bounds(maps: Sequence[np.ndarray]) -> np.ndarray:
    """The upper ends of the levels, which are quantiles of the pixels.

    Args:
        maps (Sequence[np.ndarray]): Of :func:`shrink_scores`.

    Returns:
        np.ndarray: (255,) ascending, in the unit of the maps.
    """
    pixels = thinned(maps)
    pixels = pixels[np.isfinite(pixels)]
    return np.quantile(pixels if pixels.size else np.zeros(1), SHARES)


def thinned(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Every so-manieth pixel of all maps, two million of them."""
    step = max(1, sum(values.size for values in maps) // SAMPLES)
    return np.concatenate([values.ravel()[::step] for values in maps])


def to_levels(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The first level whose upper end is no lower than a value, as uint8."""
    levels = np.searchsorted(bounds, values, side='left')
    levels = np.minimum(levels, len(bounds) - 1)
    return np.where(np.isfinite(values), levels, LOST).astype(np.uint8)


def photo_uri(path: Path, size: tuple[int, int]) -> str:
    """A photograph as JPEG, whatever its pixels are.

    Raises:
        OSError: If OpenCV cannot read it.
    """
    # As mmcv's loader, which also turns it by its EXIF tag, but with the
    # depth of the file: 12 bits in 16 would be black as bytes.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    image = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if image is None:
        raise OSError(f'OpenCV cannot read {path}.')
    image = to_bytes(np.ascontiguousarray(image[..., ::-1]))
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return _uri(Image.fromarray(image), 'JPEG', quality=JPEG_QUALITY)


def map_uri(values: np.ndarray) -> str:
    """Bytes as a grey PNG, exact."""
    return _uri(Image.fromarray(values.astype(np.uint8)), 'PNG')


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return data_uri(f'image/{kind.lower()}', buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Bytes as they are."""
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
