"""Heat maps with colour bars, and pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MIN_HEIGHT = 160
MAX_WIDTH = 4000
TITLE_HEIGHT = 26
GAP = 6
MAX_BAR = 2000  # matplotlib draws no picture higher than 65535
WHITE = 255
LOST_COLOR = (0, 255, 255)  # cyan is in no colour map used here


@lru_cache(maxsize=8)
def lookup_table(cmap: str) -> np.ndarray:
    """The colours of a matplotlib colour map, (256, 3) uint8 RGB."""
    colors = matplotlib.colormaps[cmap](np.linspace(0, 1, 256))
    return (255 * colors[:, :3]).round().astype(np.uint8)


def colorize(
    values: np.ndarray, vmin: float, vmax: float, cmap: str = 'viridis'
) -> np.ndarray:
    """Colours on a linear scale, clipped: (H, W) -> (H, W, 3) uint8 RGB."""
    scaled = (values - vmin) / max(vmax - vmin, 1e-12)
    index = (255 * np.clip(scaled, 0, 1)).round().astype(np.uint8)
    return lookup_table(cmap)[index]


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Pixels of any type and range as uint8 of the same shape.

    Bytes stay as they are, and so do floats that were bytes (0 to 255, some
    above 1). Anything else, as 12 bits in 16 or reflectances in 0 to 1, is
    stretched between its 1st and 99th percentile; where those are the same,
    16 bits are divided by 257.
    """
    if image.dtype == np.uint8:
        return image
    integers = np.issubdtype(image.dtype, np.integer)
    image = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0)
    if integers or not (image.min() >= 0 and 1 < image.max() <= WHITE):
        low, high = np.percentile(image, (1, 99))
        if low == high:
            low, high = 0, 257 * WHITE
        image = (image - low) * (WHITE / (high - low))
    return np.clip(image, 0, WHITE).round().astype(np.uint8)


class Colors(NamedTuple):
    """What the colours of a map mean.

    Attributes:
        low (float): Value of the darkest.
        high (float): Value of the brightest.
        label (str): What the bar says, with the unit.
        cmap (str): Name of a matplotlib colour map.
        ticks (tuple): Values with their texts; numbers if there are none.
    """

    low: float
    high: float
    label: str
    cmap: str = 'viridis'
    ticks: tuple[tuple[float, str], ...] = ()


@lru_cache(maxsize=64)
def color_bar(height: int, colors: Colors, lost: bool = False) -> np.ndarray:
    """A vertical colour bar, (height, ~100, 3) uint8 RGB; with the colour
    of pixels without a score if there are such.
    """
    low, high, label, cmap, ticks = colors
    # A little more, because matplotlib rounds down.
    size = 1.1 if ticks else 0.95, (height + 0.01) / 100
    figure = Figure(figsize=size, dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.06, 0.05, 0.14, 0.8 if lost else 0.9))
    mappable = matplotlib.cm.ScalarMappable(
        matplotlib.colors.Normalize(low, high), cmap
    )
    bar = figure.colorbar(mappable, cax=axes)
    if ticks:
        values, texts = zip(*ticks)
        bar.set_ticks(values, labels=texts)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(label, fontsize=8 if len(label) < height / 8 else 6)
    if lost:
        color = tuple(level / 255 for level in LOST_COLOR)
        patch = figure.add_axes((0.06, 0.9, 0.14, 0.06), facecolor=color)
        patch.set(xticks=[], yticks=[])
        figure.text(0.25, 0.93, 'no score', fontsize=7, va='center')
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def heat_map(
    values: np.ndarray, colors: Colors, lost: np.ndarray | None = None
) -> np.ndarray:
    """A map in colours with its colour bar, uint8 RGB.

    Args:
        values (np.ndarray): (H, W).
        colors (Colors): What they mean.
        lost (np.ndarray, optional): (H, W) bool, pixels without a score,
            which are cyan.
    """
    picture = colorize(values, colors.low, colors.high, colors.cmap)
    any_lost = lost is not None and bool(lost.any())
    if any_lost:
        picture[lost] = LOST_COLOR
    picture = zoom(picture)
    rows, columns = picture.shape[:2]
    height = max(MIN_HEIGHT, rows)
    bar = color_bar(min(height, MAX_BAR), colors, any_lost)
    canvas = _white(height, columns + bar.shape[1])
    canvas[:rows, :columns] = picture
    canvas[: bar.shape[0], columns:] = bar
    return canvas


def zoom(image: np.ndarray) -> np.ndarray:
    """Enlarge a very small picture by a whole factor, so it can be seen."""
    height, width = image.shape[:2]
    factor = max(1, min(-(-MIN_HEIGHT // height), MAX_WIDTH // width))
    return image.repeat(factor, 0).repeat(factor, 1)


def side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures in a row, each with its title over it, uint8 RGB."""
    zoomed = {title: zoom(picture) for title, picture in pictures.items()}
    height = TITLE_HEIGHT + max(map(len, zoomed.values()))
    columns = []
    for title, picture in zoomed.items():
        font = cv2.FONT_HERSHEY_SIMPLEX, 0.5
        (text_width, _), _ = cv2.getTextSize(title, *font, 1)
        rows, width = picture.shape[:2]
        column = _white(height, max(width, text_width + 8) + GAP)
        cv2.putText(column, title, (4, 18), *font, (0, 0, 0), 1, cv2.LINE_AA)
        column[TITLE_HEIGHT : TITLE_HEIGHT + rows, :width] = picture
        columns.append(column)
    return np.hstack(columns)[:, :-GAP]


def _white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), WHITE, np.uint8)
