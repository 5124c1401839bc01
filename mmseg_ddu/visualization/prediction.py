"""The maps of a prediction as arrays, their scales, and their pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_ddu.core.bounds import is_lost
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.models.abstention import REFUSED
from mmseg_ddu.models.map_names import (
    MAPS,
    NOVELTY,
    PERCENTILE,
    STATISTICS,
    UNITS,
)

from .heatmap import Colors, heat_map, side_by_side

CMAPS = dict(aleatoric='viridis', epistemic='magma', total='inferno')
MAX_16_BIT = 65535
VOID_COLOR = (150, 150, 150)
MAX_SURPRISE = 4.0  # one pixel in ten thousand, and all that is rarer
RARITY = ((0.0, 'ordinary'),) + tuple(
    (float(power), f'1 in {10**power:,}') for power in range(1, 5)
)


class Scale(NamedTuple):
    """A linear scale of 16-bit pictures, the same for all images.

    Attributes:
        low (float): Value of pixel 0.
        high (float): Value of pixel 65535.
        unit (str): Of the values.
    """

    low: float
    high: float
    unit: str

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values to uint16, clipped."""
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        return (MAX_16_BIT * np.clip(share, 0, 1)).round().astype(np.uint16)

    def clipped_share(self, values: np.ndarray) -> float:
        """Share of the values outside the scale."""
        return float(((values < self.low) | (values > self.high)).mean())


def map_scales(model: nn.Module) -> dict[str, Scale]:
    """The scale of each map that a model predicts, in their order.

    Entropies run from 0 to log C, as mutual information does. The ranges of
    the other maps are what training pixels said, with room above.

    Args:
        model (nn.Module): Any segmentor of ours. While no density is fitted
            there is only the aleatoric map.
    """
    model = _unwrapped(model)
    top = math.log(max(2, model.out_channels))
    scales = {name: Scale(0.0, top, 'nats') for name in MAPS}
    if not hasattr(model, 'gda_head'):
        return scales
    scales = dict(aleatoric=scales['aleatoric'])
    if not model.gda_head.fitted:
        return scales
    heads = getattr(model, 'extra_heads', ())
    for name in (*MAPS[1:], *(f'epistemic_{head}' for head in heads)):
        low, high = model.map_range(name)
        unit = UNITS[name.partition('_')[0]]
        scales[name] = Scale(float(low), float(high), unit)
    share = Scale(0.0, 1.0, 'share of training pixels')
    return {**scales, **{name + PERCENTILE: share for name in scales}}


def require_8_bits(model: nn.Module) -> None:
    """Refuse a model with more classes than fit into 8 bits beside void."""
    model = _unwrapped(model)
    added = getattr(getattr(model, 'gda_head', None), 'added', ())
    count = model.out_channels + len(added)
    if count > VOID:
        raise ValueError(
            f'Expected at most {VOID} classes, as many as 8 bits hold beside '
            f'void, but the model has {count}: their maps cannot be '
            'written. Take classes from model.test_step instead.'
        )


def _unwrapped(model: nn.Module) -> nn.Module:
    while hasattr(model, 'module'):  # of several processes, of augmentations
        model = model.module
    return model


def sample_maps(sample: SegDataSample) -> dict[str, np.ndarray]:
    """The maps of a prediction with their percentiles, (H, W) float32.

    The keys are those of the fields, without ``pred_``, those of ``MAPS``
    first.
    """
    fields = (key.removeprefix('pred_') for key, _ in sample.items())
    names = [name for name in fields if name.partition('_')[0] in MAPS]
    names.sort(key=lambda name: MAPS.index(name) if name in MAPS else 9)
    return {
        name: sample.get(f'pred_{name}').data[0].cpu().float().numpy()
        for name in names
    }


def sample_classes(sample: SegDataSample) -> np.ndarray:
    """The predicted classes, (H, W) uint8; ``VOID`` where refused."""
    classes = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    refused = sample_refused(sample)
    if refused is not None:
        classes[refused] = VOID
    return classes


def sample_refused(sample: SegDataSample) -> np.ndarray | None:
    """The pixels that are refused, (H, W) bool; None without thresholds."""
    if REFUSED not in sample:
        return None
    return sample.get(REFUSED).data[0].cpu().numpy()


def sample_novelty(sample: SegDataSample) -> dict[str, float]:
    """``image_novelty`` and its percentile, of fitted models."""
    return {
        key: float(sample.metainfo[key])
        for key in (NOVELTY, NOVELTY + PERCENTILE)
        if key in sample.metainfo
    }


def sample_statistics(sample: SegDataSample) -> list[float]:
    """What the novelty is the distance of; empty where it is not finite."""
    vector = sample.metainfo.get(STATISTICS, torch.zeros(0))
    numbers = [float(f'{value:.5g}') for value in vector.tolist()]
    return numbers if np.isfinite(numbers).all() else []


def surprise(percentile: np.ndarray) -> np.ndarray:
    """-log10 of the share of training pixels above, at most 4.

    Example:
        >>> surprise(np.array([0.0, 0.9, 0.99, 1.0])).round(6).tolist()
        [-0.0, 1.0, 2.0, 4.0]
    """
    above = 1 - percentile.astype(np.float64)
    return -np.log10(np.clip(above, 10**-MAX_SURPRISE, 1))


def draw_map(
    name: str, maps: Mapping[str, np.ndarray], scales: Mapping[str, Scale]
) -> np.ndarray:
    """The heat map of a named map, uint8 RGB.

    With a percentile the colours say how rare a pixel is among those of
    training, so that ordinary ones are dark; else they are linear.

    Args:
        name (str): One of ``maps``.
        maps (Mapping): Of :func:`sample_maps`.
        scales (Mapping): Of :func:`map_scales`; a map that is not in them
            spans its own range.
    """
    values, share = maps[name], maps.get(name + PERCENTILE)
    lost, cmap = is_lost(values), CMAPS[name.partition('_')[0]]
    if share is not None:
        label, values = f'{name}: how rare in training', surprise(share)
        colors = Colors(0, MAX_SURPRISE, label, cmap, RARITY)
    elif name in scales:
        low, high, unit = scales[name]
        colors = Colors(low, high, f'{name} ({unit})', cmap)
    else:
        there = values[~lost] if not lost.all() else np.zeros(1)
        colors = Colors(float(there.min()), float(there.max()), name, cmap)
    return heat_map(values, colors, lost)


def panel(
    image: np.ndarray,
    classes: Mapping[str, np.ndarray],
    maps: Mapping[str, np.ndarray],
    scales: Mapping[str, Scale],
    palette: Sequence,
    alpha: float = 0.6,
) -> np.ndarray:
    """The image, class maps over it, and the three maps, side by side.

    Args:
        image (np.ndarray): (H, W, 3) uint8 RGB; resized if it is of another
            size than the classes (rotated by its EXIF tag).
        classes (Mapping): Title to (H, W) uint8.
        maps (Mapping): As in :func:`draw_map`; may be empty.
        scales (Mapping): As there.
        palette (Sequence): Colours of the classes.
        alpha (float): Weight of those colours over the image.
    """
    colors = color_table(palette)
    pictures = dict(image=image)
    for title, values in classes.items():
        if image.shape[:2] != values.shape:
            image = cv2.resize(image, values.shape[::-1])
        pictures[title] = cv2.addWeighted(
            image, 1 - alpha, colors[values], alpha, 0
        )
    for name in MAPS:
        if name in maps:
            pictures[name] = draw_map(name, maps, scales)
    return side_by_side(pictures)


def color_table(palette: Sequence) -> np.ndarray:
    """Colours of the values of a class map, (256, 3) uint8; void is grey."""
    colors = np.zeros((256, 3), np.uint8)
    colors[VOID] = VOID_COLOR
    used = palette[:VOID]
    colors[: len(used)] = used
    return colors


def default_palette() -> list[list[int]]:
    """Distinct colours for models that bring none."""
    hues = (np.arange(256) * 67 % 180).astype(np.uint8)
    full = np.full(256, 220, np.uint8)
    hsv = np.stack([hues, full, full], 1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].tolist()
