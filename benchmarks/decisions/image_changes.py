"""Changes of images that an alarm shall tell apart.

Each takes an image (H, W, 3) uint8 in BGR and a random generator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from benchmarks.decisions.drift_rows import dusk
from mmseg_ddu.datasets import SHIFTS

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# Name to whether it changes the fine structure, and how.
Changes = dict[str, tuple[bool, Change]]
FUNCTIONS = {name: shift.function for name, shift in SHIFTS.items()}


def to_8_bits(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


def scaled(*factors: float) -> Change:
    """Values times a factor, or one for each of BGR."""
    return lambda image, rng: to_8_bits(image * np.array(factors))


def saturated(share: float) -> Change:
    """Differences from gray times a factor."""

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gray = FUNCTIONS['gray'](image, rng).astype(float)
        return to_8_bits(gray + share * (image - gray))

    return change


def gamma(power: float) -> Change:
    return lambda image, rng: to_8_bits(255 * (image / 255) ** power)


def haze(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return to_8_bits(0.6 * image + 80)


def shot_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of a camera that counts one photon for four values."""
    return to_8_bits(4.0 * rng.poisson(image / 4))


def defocus(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = 1 + max(image.shape) // 100
    return cv2.blur(image, (side, side))


def webp(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    _, data = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, 5])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def enlarged(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From a third of its size."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (width // 3, height // 3), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height))


def _noise(sigma: float) -> tuple[bool, Change]:
    return True, partial(FUNCTIONS['noisy'], sigma=sigma)


JUDGED: Changes = {
    'faint_noise': _noise(10.0),
    **{k: (True, FUNCTIONS[k]) for k in ('noisy', 'jpeg', 'blur')},
    'motion_blur': (True, FUNCTIONS['motion_blur']),
    'dusk': (False, dusk),
    **{k: (False, FUNCTIONS[k]) for k in ('low_contrast', 'gray', 'inverted')},
}
UNSEEN: Changes = {
    'shot noise': (True, shot_noise),
    'defocus': (True, defocus),
    'webp': (True, webp),
    'enlarged': (True, enlarged),
    'gamma of 1.6': (False, gamma(1.6)),
    'warm': (False, scaled(0.8, 1.0, 1.15)),
    'haze': (False, haze),
    'vivid': (False, saturated(1.6)),
}
