"""Ways of making an image unlike the training images.

Each function takes an image (H, W, 3) uint8 in BGR and a random generator,
and returns an image of the same shape and type. Lengths are given for an
image whose longer side has 320 pixels and grow with the image. The functions
that move the content take masks (H, W) as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

REFERENCE_SIDE = 320
KEPT, MOVED, REPLACED = 'kept', 'moved', 'replaced'


def _in_pixels(length: float, image: np.ndarray) -> float:
    return length * max(image.shape[:2]) / REFERENCE_SIDE


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return image.round().clip(0, 255).astype(np.uint8)


def blur(
    image: np.ndarray, rng: np.random.Generator, sigma: float = 4.0
) -> np.ndarray:
    """Gaussian blur."""
    return cv2.GaussianBlur(image, (0, 0), _in_pixels(sigma, image))


def motion_blur(
    image: np.ndarray, rng: np.random.Generator, length: float = 24.0
) -> np.ndarray:
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


def inverted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The negative, 255 - x."""
    return 255 - image


def noisy(
    image: np.ndarray, rng: np.random.Generator, sigma: float = 50.0
) -> np.ndarray:
    """Independent Gaussian noise added to every value."""
    return _to_uint8(image + rng.normal(0, sigma, image.shape))


def low_contrast(
    image: np.ndarray, rng: np.random.Generator, contrast: float = 0.2
) -> np.ndarray:
    """Values drawn towards the mean of the image, as in fog."""
    mean = image.mean()
    return _to_uint8(mean + contrast * (image - mean))


def gray(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness in all three channels."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)


def jpeg(
    image: np.ndarray, rng: np.random.Generator, quality: int = 5
) -> np.ndarray:
    """What is left of an image saved as JPEG of low quality."""
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uniform random values; nothing of the image is left."""
    return rng.integers(0, 256, image.shape, np.uint8)


def texture(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


def upside_down(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flipped top to bottom. Moves masks too."""
    return np.ascontiguousarray(image[::-1])


def crop(
    image: np.ndarray, rng: np.random.Generator, side: float = 1 / 6
) -> np.ndarray:
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


def shuffled(
    image: np.ndarray, rng: np.random.Generator, tiles: int = 8
) -> np.ndarray:
    """Tiles in a random order. Moves masks too.

    Where the size is no multiple of ``tiles``, tiles differ by one pixel and
    are resized to the place they come to.
    """
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
        height, width = out[target].shape[:2]
        if height and width:
            out[target] = cv2.resize(
                _not_empty(image, boxes[source]),
                (width, height),
                interpolation=cv2.INTER_NEAREST,
            )
    return out


def _not_empty(image: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """A tile; of an image smaller than the grid, at least one pixel."""
    part = tuple(
        slice(min(s.start, size - 1), max(s.stop, min(s.start, size - 1) + 1))
        for s, size in zip(box, image.shape)
    )
    return np.ascontiguousarray(image[part])


@dataclass(frozen=True)
class Shift:
    """A named shift.

    Attributes:
        function (Callable): Called with image, generator and options.
        content (str): What becomes of the content and so of the masks:
            ``kept``, ``moved``, or ``replaced`` by something that shows no
            class at all.
    """

    function: Callable[..., np.ndarray]
    content: str

    @property
    def description(self) -> str:
        """First line of the function's documentation."""
        return str(self.function.__doc__).splitlines()[0]


SHIFTS: dict[str, Shift] = {
    function.__name__: Shift(function, content)
    for content, functions in {
        KEPT: (
            blur,
            inverted,
            noisy,
            jpeg,
            low_contrast,
            gray,
            motion_blur,
        ),
        MOVED: (crop, upside_down, shuffled),
        REPLACED: (noise, texture),
    }.items()
    for function in functions
}
