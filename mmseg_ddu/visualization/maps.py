"""Which maps a prediction has, their scales, and the picture of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import nn

from .heatmap import blend, class_colors, heat_map, side_by_side

CMAPS = dict(epistemic='magma', percentile='magma', aleatoric='viridis')
MAX_16_BIT = 65535


@dataclass(frozen=True)
class Scale:
    """A linear scale of 16-bit pictures.

    Attributes:
        low (float): Value of pixel 0.
        high (float): Value of pixel 65535.
        unit (str): Of the values.
        bright (float, optional): Value of the brightest colour in heat maps,
            where that is not ``high``.
    """

    low: float
    high: float
    unit: str
    bright: float | None = None

    def label(self, name: str) -> str:
        """What a colour bar says."""
        plain = name == 'percentile' or not self.unit
        return name if plain else f'{name} ({self.unit})'

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values to uint16, clipped."""
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        return (MAX_16_BIT * np.clip(share, 0, 1)).round().astype(np.uint16)

    def clipped_share(self, values: np.ndarray) -> float:
        """Share of the values outside the scale."""
        return float(((values < self.low) | (values > self.high)).mean())

    def draw(self, name: str, values: np.ndarray) -> np.ndarray:
        """The heat map of a named map with its colour bar, uint8 RGB."""
        top = self.high if self.bright is None else self.bright
        return heat_map(values, self.low, top, self.label(name), CMAPS[name])


def map_scales(model: nn.Module) -> dict[str, Scale]:
    """The linear scale of each map, the same for all images.

    Entropy runs from 0 to log C. The epistemic score runs from the lowest
    training score to as far above the training median as four times the
    distance between that and the 99th percentile; heat maps are brightest
    at twice that distance.
    """
    top = math.log(max(2, model.out_channels))
    scales = dict(aleatoric=Scale(0.0, top, 'nats'))
    if not hasattr(model, 'gda_head'):
        return dict(epistemic=Scale(0.0, top, 'nats'), **scales)
    head = model.gda_head
    table = head.score_quantiles.double().cpu()
    low, median, high = (
        float(torch.quantile(table, level)) for level in (0.0, 0.5, 0.99)
    )
    step = max(high - median, 1e-6)
    return dict(
        epistemic=Scale(low, median + 4 * step, head.unit, median + 2 * step),
        percentile=Scale(0.0, 1.0, 'share of training pixels'),
        **scales,
    )


def sample_maps(sample, model: nn.Module | None = None) -> dict:
    """The maps of a prediction, name to (H, W) float32.

    Args:
        sample (SegDataSample): With some of ``pred_epistemic``,
            ``pred_aleatoric`` and ``pred_percentile``.
        model (nn.Module, optional): With a density head, whose training
            scores turn the epistemic score into the ``percentile``.
    """
    maps = {
        name: sample.get(f'pred_{name}').data[0]
        for name in ('epistemic', 'aleatoric', 'percentile')
        if f'pred_{name}' in sample
    }
    unknown = 'epistemic' in maps and 'percentile' not in maps
    if unknown and hasattr(model, 'gda_head'):
        maps['percentile'] = model.gda_head.percentile(maps['epistemic'])
    return {key: value.cpu().float().numpy() for key, value in maps.items()}


def sample_classes(sample) -> np.ndarray:
    """The predicted classes of a sample, (H, W) uint8."""
    return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)


def panel(
    image: np.ndarray,
    classes: Mapping[str, np.ndarray],
    heat_maps: Mapping[str, np.ndarray],
    palette: Sequence,
    alpha: float = 0.6,
) -> np.ndarray:
    """The image, class maps over it, and heat maps, side by side.

    Args:
        image (np.ndarray): (H, W, 3) uint8 RGB; resized if it is of another
            size than the classes (rotated by its EXIF tag).
        classes (Mapping): Title to (H, W) uint8.
        heat_maps (Mapping): Title to (h, w, 3) uint8 RGB.
        palette (Sequence): Colours of the classes.
        alpha (float): Weight of those colours over the image.
    """
    pictures = {}
    for title, values in classes.items():
        if image.shape[:2] != values.shape:
            image = cv2.resize(image, values.shape[::-1])
        colors = class_colors(values, palette)
        pictures[title] = blend(image, colors, alpha)
    pictures = dict(image=image, **pictures, **heat_maps)
    return side_by_side(list(pictures.values()), list(pictures))


def default_palette() -> list[list[int]]:
    """Distinct colours for models that bring none."""
    hues = (np.arange(256) * 67 % 180).astype(np.uint8)
    full = np.full(256, 220, np.uint8)
    hsv = np.stack([hues, full, full], 1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].tolist()
