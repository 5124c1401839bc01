"""Ways of making an image unlike the training images.

Each function takes an image (H, W, 3) uint8 in BGR and a random generator, and
returns an image of the same shape and type. Lengths are given for an image
whose longer side has 320 pixels and grow with the image. The functions that
move the content take masks (H, W) as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

Array = np.ndarray
Rng = np.random.Generator

REFERENCE_SIDE = 320
KEPT, MOVED, REPLACED = 'kept', 'moved', 'replaced'


def _in_pixels(length: float, image: Array) -> float:
    return length * max(image.shape[:2]) / REFERENCE_SIDE


def _to_uint8(image: Array) -> Array:
    return image.round().clip(0, 255).astype(np.uint8)


def blur(image: Array, rng: Rng, sigma: float = 4.0) -> Array:
    """Gaussian blur."""
    return cv2.GaussianBlur(image, (0, 0), _in_pixels(sigma, image))


def motion_blur(image: Array, rng: Rng, length: float = 24.0) -> Array:
    """Mean along a straight line in a random direction."""
    reach = max(1, round(_in_pixels(length, image) / 2))
    angle = rng.uniform(0, np.pi)
    offset = reach * np.array([np.cos(angle), np.sin(angle)])
    ends = [
        tuple(int(v) for v in (reach + s * offset).round()) for s in (-1, 1)
    ]
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    cv2.line(kernel, *ends, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def inverted(image: Array, rng: Rng) -> Array:
    """The negative, 255 - x."""
    return 255 - image


def noisy(image: Array, rng: Rng, sigma: float = 50.0) -> Array:
    """Independent Gaussian noise added to every value."""
    return _to_uint8(image + rng.normal(0, sigma, image.shape))


def low_contrast(image: Array, rng: Rng, contrast: float = 0.2) -> Array:
    """Values drawn towards the mean of the image, as in fog."""
    mean = image.mean()
    return _to_uint8(mean + contrast * (image - mean))


def gray(image: Array, rng: Rng) -> Array:
    """Brightness in all three channels."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)


def jpeg(image: Array, rng: Rng, quality: int = 5) -> Array:
    """What is left of an image saved as JPEG of low quality."""
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def noise(image: Array, rng: Rng) -> Array:
    """Uniform random values; nothing of the image is left."""
    return rng.integers(0, 256, image.shape, np.uint8)


def texture(image: Array, rng: Rng) -> Array:
    """A grating, a checkerboard or band-passed noise between two colours.

    Nothing of the image is left. Periods are 8 to 64 pixels.
    """
    height, width = image.shape[:2]
    period = _in_pixels(2 ** rng.uniform(3, 6), image)
    kind = rng.choice(['grating', 'checkers', 'noise'])
    if kind == 'noise':
        white = rng.normal(size=(height, width)).astype(np.float32)
        fine, coarse = (
            cv2.GaussianBlur(white, (0, 0), period / d) for d in (6, 3)
        )
        wave = fine - coarse
        wave = wave / (3 * wave.std() + 1e-12)
    else:
        y, x = np.mgrid[:height, :width]
        angle = rng.uniform(0, np.pi)
        phase = rng.uniform(0, 2 * np.pi, 2)
        u = x * np.cos(angle) + y * np.sin(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        wave = np.sin(2 * np.pi * u / period + phase[0])
        if kind == 'checkers':
            wave = np.sign(wave * np.sin(2 * np.pi * v / period + phase[1]))
    share = (wave.clip(-1, 1)[..., None] + 1) / 2
    first, second = rng.uniform(0, 255, (2, 3))
    return _to_uint8(share * first + (1 - share) * second)


def upside_down(image: Array, rng: Rng) -> Array:
    """Flipped top to bottom. Moves masks too."""
    return np.ascontiguousarray(image[::-1])


def crop(image: Array, rng: Rng, side: float = 1 / 6) -> Array:
    """A random window, blown up to the size of the image. Moves masks too.

    Args:
        side (float): Side of the window as a share of the image's.
    """
    height, width = image.shape[:2]
    left, top = rng.uniform(0, 1 - side, 2) * (width, height)
    center = (side - 1) / 2  # of the first pixel: pixels are areas
    matrix = np.array([[side, 0, left + center], [0, side, top + center]])
    flags = cv2.INTER_NEAREST if image.ndim == 2 else cv2.INTER_LINEAR
    return cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=flags | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def shuffled(image: Array, rng: Rng, tiles: int = 8) -> Array:
    """Tiles in a random order. Moves masks too.

    Where the size is no multiple of ``tiles``, tiles differ by one pixel and
    are resized to the place they come to.
    """
    tiles = min(tiles, *image.shape[:2])
    rows, columns = (
        np.linspace(0, size, tiles + 1).round().astype(int)
        for size in image.shape[:2]
    )
    boxes = [
        (slice(*rows[i : i + 2]), slice(*columns[j : j + 2]))
        for i in range(tiles)
        for j in range(tiles)
    ]
    out = np.empty_like(image)
    for target, source in zip(boxes, rng.permutation(len(boxes))):
        out[target] = cv2.resize(
            image[boxes[source]],
            out[target].shape[1::-1],
            interpolation=cv2.INTER_NEAREST,
        )
    return out


class Shift(NamedTuple):
    """A shift: its function, and what becomes of the content and the masks.

    They are ``kept``, ``moved``, or ``replaced`` by something that shows no
    class at all.
    """

    function: Callable[..., Array]
    content: str


SHIFTS = {
    function.__name__: Shift(function, content)
    for content, functions in {
        KEPT: (blur, inverted, noisy, jpeg, low_contrast, gray, motion_blur),
        MOVED: (crop, upside_down, shuffled),
        REPLACED: (noise, texture),
    }.items()
    for function in functions
}
# Options of the same shifts as they are in passing: a strength that a
# camera, a codec or the weather has on an ordinary day.
FAINT: dict[str, dict[str, float]] = dict(
    blur=dict(sigma=1.0),
    noisy=dict(sigma=10.0),
    jpeg=dict(quality=30),
    low_contrast=dict(contrast=0.6),
    motion_blur=dict(length=6.0),
    crop=dict(side=0.6),
    shuffled=dict(tiles=2),
)
