"""Pixels of the maps of held-out images, which calibrate percentiles."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.sampling import PixelReservoir, random_keys
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.temperature import fit_temperature
from mmseg_ddu.models.ddu_segmentor import DDUMixin

from .labelled_windows import LabelledImage, LabelledWindow
from .ranks import from_each_rank


class MapSample:
    """A uniform sample of the labelled pixels of some images, as predicted.

    The maps come as prediction makes them: in its test mode, interpolated
    and averaged over windows, at the size of the network's input.

    Args:
        model (DDUMixin): With densities that have not seen the images.
        size (int): Pixels.
        seed (int): Of the choice, which depends on nothing but the image's
            number.
    """

    def __init__(self, model: DDUMixin, size: int, seed: int) -> None:
        self.model, self.seed = model, seed
        self.pixels = PixelReservoir(size)

    @torch.no_grad()
    def see(
        self,
        image: LabelledImage,
        index: int,
        windows: Iterable[LabelledWindow] | None = None,
    ) -> None:
        """Offer the pixels of an image, whose windows may be there."""
        model = self.model
        parts = (
            (window.box, model.with_scores(window.logits, window.features))
            for window in windows or image.windows(model)
        )
        maps = model.mean_of_windows(image.inputs, parts)
        labels = image.labels.flatten()
        keys = random_keys(labels.shape, self.seed, index)
        known = (labels >= 0) & (labels < self.model.gda_head.num_classes)
        where = known.cpu().nonzero().flatten()
        where = where[keys[where].argsort()[: self.pixels.size]]
        there = where.to(maps.device)
        values = maps[0].flatten(1).index_select(1, there).mT
        self.pixels.update(keys[where], values, labels[there])

    def synchronize(self) -> None:
        """Merge the samples of all processes, in each of them."""
        parts = from_each_rank(self.pixels)
        self.pixels = reduce(PixelReservoir.merge, parts)

    def calibrate(self, temperature: bool) -> dict:
        """Fit the percentiles of the model, and its temperature if wanted.

        Returns:
            dict: Number of ``pixels``, those left out as ``nonfinite``, the
            ``temperature``, and ``errors_AUROC``: how well each map ranks
            misclassified above correct pixels, in percent.

        Raises:
            ValueError: If there is no labelled pixel, or none is finite.
        """
        if not len(self.pixels):
            raise ValueError(
                'The held-out images have no labelled pixel to calibrate '
                'with; use another seed or calibration_fraction=0.'
            )
        model = self.model
        values, labels = self.pixels.sample()
        finite = values.isfinite().all(1)
        report = dict(pixels=int(finite.sum()), nonfinite=int((~finite).sum()))
        if not finite.any():
            raise ValueError(
                f'All {len(finite)} calibration pixels have NaN or infinite '
                'features; the network is broken (diverged training, or half '
                'precision that overflowed).'
            )
        values, labels = values[finite], labels[finite]
        logits, scores = values.tensor_split([model.out_channels], 1)
        if temperature:
            value = fit_temperature(logits, labels)
            model.map_calibration.temperature.fill_(value)
            report['temperature'] = value
        model.scaled = temperature and value != 1
        right = model.classes_of(logits[..., None, None]).flatten() == labels
        device = model.gda_head.fitted.device
        entropies = softmax_entropy(model.calibrated(logits.to(device)))[:, 0]
        for head, part in zip(model.heads.values(), scores.mT):
            head.surprise.fit(part)
        surprise = model.gda_head.surprise(scores[:, 0].to(device))
        total = model.map_calibration.fit(entropies, surprise)
        maps = dict(aleatoric=entropies, epistemic=scores[:, 0], total=total)
        auroc = {k: _auroc(v.cpu(), ~right) for k, v in maps.items()}
        return dict(report, errors_AUROC=auroc)


def _auroc(scores: Tensor, positives: Tensor) -> float | None:
    """In percent; None if all or none are positive."""
    if positives.all() or not positives.any():
        return None
    counts = RankingCounts()
    counts.update(scores, positives)
    return round(100 * counts.auroc(), 2)
