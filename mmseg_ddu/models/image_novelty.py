"""One number an image: how unlike the training images it looks."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.core.precise_module import PreciseModule

from .map_names import NOVELTY, PERCENTILE, STATISTICS
from .uncertainty_maps import without_padding

SHRINKAGE = 0.1  # at least, towards independent statistics
FOLDS = 10
QUANTILES = 1001


class ImageNovelty(PreciseModule):
    """Distance of an image's colours and fine structure from training.

    Mahalanobis distance of :class:`ImageStatistics` of the preprocessed
    image, in standard deviations. It sees another camera, noise, blur and
    faded colours, and says nothing about pixels: for sorting and watching,
    never part of a map.
    """

    shift: Tensor
    root: Tensor
    quantiles: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.statistics = ImageStatistics(channels)
        size = self.statistics.size
        self.register_buffer('shift', torch.zeros(size))
        self.register_buffer('root', torch.eye(size))
        self.register_buffer('quantiles', torch.zeros(QUANTILES))

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Learn from the statistics of N training images, (N, S).

        The percentile of each tenth of the images comes from the others, so
        that images count as new.
        """
        vectors = vectors.double().cpu()
        vectors = vectors[vectors.isfinite().all(1)]
        if len(vectors) == 0:
            raise ValueError('No training image has finite values.')
        distances = []
        fold = torch.arange(len(vectors)) % FOLDS
        for number in range(min(FOLDS, len(vectors))):
            others = vectors[fold != number]
            rule = _rule(others if len(others) else vectors)
            distances.append(_distance(vectors[fold == number], *rule))
        levels = torch.linspace(0, 1, QUANTILES, dtype=vectors.dtype)
        self.quantiles.copy_(torch.cat(distances).quantile(levels))
        shift, root = _rule(vectors)
        self.shift.copy_(shift)
        self.root.copy_(root)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images of one size, (B, C, H, W) -> (B,) distances."""
        return self.distances(self.statistics(images))

    @torch.no_grad()
    def distances(self, vectors: Tensor) -> Tensor:
        """Statistics of images, (N, S) -> (N,)."""
        with torch.autocast(vectors.device.type, enabled=False):
            return _distance(vectors, self.shift, self.root)

    def percentile(self, distances: Tensor) -> Tensor:
        """Share of training images with a smaller distance, in [0, 1]."""
        higher = self.quantiles >= distances[..., None]
        return 1 - higher.mean(-1, dtype=torch.float32)  # 1 for NaN

    def describe(self, inputs: Tensor, samples: list) -> None:
        """Distance, percentile and statistics of each image as metainfo.

        The inputs are preprocessed, (B, C, H, W), padding included.
        """
        metas = [sample.metainfo for sample in samples]
        names = NOVELTY, NOVELTY + PERCENTILE, STATISTICS
        for members, images in without_padding(inputs, metas):
            vectors = self.statistics(images)
            distances = self.distances(vectors)
            shares = self.percentile(distances)
            for member, *values in zip(members, distances, shares, vectors):
                # Not set_metainfo, which copies tensors.
                for name, value in zip(names, values):
                    samples[member].set_field(
                        value, name, field_type='metainfo'
                    )


def _rule(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The mean, whitened, (S,), and a root of the precision, (S, S)."""
    number, size = vectors.shape
    mean = vectors.mean(0)
    gaps = vectors - mean
    covariance = gaps.mT @ gaps / max(1, number - 1)
    variances = covariance.diagonal().clone()
    # A statistic that never varies: as if by a hundredth.
    variances = variances.clamp_min(1e-4)
    weight = max(SHRINKAGE, size / (number + size))
    covariance = (1 - weight) * covariance + weight * variances.diag()
    covariance += 1e-6 * variances.diag()
    lower = torch.linalg.cholesky(covariance)
    eye = torch.eye(size, dtype=vectors.dtype)
    root = torch.linalg.solve_triangular(lower, eye, upper=False).mT
    return mean @ root, root


def _distance(vectors: Tensor, shift: Tensor, root: Tensor) -> Tensor:
    """(N, S) -> (N,)."""
    white = torch.addmm(shift, vectors, root, beta=-1)
    return torch.linalg.vector_norm(white, dim=1)
