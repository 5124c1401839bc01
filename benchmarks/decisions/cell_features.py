"""Images as features of a backbone that is never trained, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.registry import MODELS

STRIDE = 16  # pixels of a cell
DIMENSIONS = 128  # of the principal components
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
JUNK = ('noise', 'dark', 'blurred')


@dataclass
class Cells:
    """Features of N images.

    Attributes:
        features (Tensor): (N, D, h, w).
        labels (Tensor): (N, h, w) classes and void.
        statistics (Tensor): (N, S), of the whole image.
        junk (Tensor): (N,) bool.
    """

    features: Tensor
    labels: Tensor
    statistics: Tensor
    junk: Tensor

    def __len__(self) -> int:
        return len(self.features)


def backbone(weights: Path) -> nn.Module:
    """MobileNetV2 of ImageNet, with an output stride of 16."""
    init_default_scope('mmseg')
    model = MODELS.build(
        dict(
            type='MobileNetV2',
            strides=(1, 2, 2, 2, 1, 1, 1),
            dilations=(1, 1, 1, 1, 1, 2, 2),
            out_indices=(2, 4, 6),
        )
    )
    load_checkpoint(model, str(weights), revise_keys=[(r'^backbone\.', '')])
    model.eval()  # of mmseg's backbones, this returns nothing
    return model


@torch.no_grad()
def read_cells(
    model: nn.Module,
    files: Sequence[tuple[Path, Path]],
    size: tuple[int, int],
    known: Callable[[np.ndarray], np.ndarray],
) -> Cells:
    """Features of image and mask files.

    Args:
        model (nn.Module): From :func:`backbone`.
        files (Sequence): Image and mask.
        size (tuple[int, int]): Width and height to resize to.
        known (Callable): Values of a mask to classes and void.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, mask in track(files, 'Features'):
        features, statistics = _look(model, read_pixels(image, size))
        values = cv2.resize(
            cv2.imread(str(mask), cv2.IMREAD_UNCHANGED),
            size,
            interpolation=cv2.INTER_NEAREST,
        )
        half = STRIDE // 2
        centres = known(values)[half::STRIDE, half::STRIDE]
        cells = np.full(tuple(features.shape[1:]), VOID, np.uint8)
        cells[: len(centres), : len(centres[0])] = centres
        parts.append((features, torch.from_numpy(cells).long(), statistics))
    features, labels, numbers = (torch.stack(each) for each in zip(*parts))
    junk = torch.zeros(len(files), dtype=torch.bool)
    return Cells(features, labels, numbers, junk)


@torch.no_grad()
def with_junk(
    model: nn.Module,
    pool: Cells,
    files: Sequence[tuple[Path, Path]],
    size: tuple[int, int],
    share: float,
) -> Cells:
    """A share of the images of a pool spoiled, and void."""
    rng = np.random.default_rng(0)
    spoiled = rng.permutation(len(files)) < round(share * len(files))
    result = Cells(
        pool.features.clone(),
        pool.labels.clone(),
        pool.statistics.clone(),
        torch.from_numpy(spoiled),
    )
    for index in np.flatnonzero(spoiled):
        pixels = read_pixels(files[index][0], size)
        pixels = spoil(pixels, JUNK[index % len(JUNK)], rng)
        features, statistics = _look(model, pixels)
        result.features[index] = features
        result.labels[index] = VOID
        result.statistics[index] = statistics
    return result


def _look(model: nn.Module, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Features (D, h, w) and statistics (S,) of an image."""
    batch = standardized(pixels)
    outputs = model(batch)
    shape = outputs[-1].shape[2:]
    maps = [F.adaptive_avg_pool2d(each, shape) for each in outputs]
    return torch.cat(maps, 1)[0], ImageStatistics(3)(batch)[0]


def read_pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """RGB of (width, height)."""
    return cv2.resize(cv2.imread(str(path)), size)[..., ::-1]


def standardized(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) of 8 bits -> (1, 3, H, W)."""
    batch = (pixels.astype(np.float32) - MEAN) / STD
    return torch.from_numpy(batch).float().movedim(-1, 0)[None]


def spoil(
    pixels: np.ndarray, kind: str, rng: np.random.Generator
) -> np.ndarray:
    """A broken sensor, a lens cap, a lens out of focus."""
    if kind == 'noise':
        return rng.integers(0, 256, pixels.shape).astype(np.uint8)
    if kind == 'dark':
        return rng.poisson(4, pixels.shape).astype(np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 25)


def project(pool: Cells, others: Sequence[Cells]) -> None:
    """Principal components of the pool, in place of all features."""
    rows = pool.features.movedim(1, -1).flatten(0, 2)
    mean, std = rows.mean(0), rows.std(0).clamp(min=1e-6)
    some = ((rows[::7] - mean) / std).double()
    directions = torch.linalg.eigh(some.T @ some).eigenvectors
    basis = directions[:, -DIMENSIONS:].float()
    for cells in (pool, *others):
        moved = (cells.features.movedim(1, -1) - mean) / std
        cells.features = (moved @ basis).movedim(-1, 1).contiguous()
