"""Scores of images without labels, from what the labelled ones taught."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.decisions.cell_features import Cells
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.surprise import Surprise, total_surprise
from mmseg_ddu.models.gda_head import GDAHead
from mmseg_ddu.models.image_novelty import ImageNovelty

HELD_OUT = 0.3  # of the labelled images, for the percentiles


def rows_of(cells: Cells, images: list[int]) -> tuple[Tensor, Tensor]:
    """Labelled cells of some images, (N, D) and (N,)."""
    labels = cells.labels[images].flatten()
    rows = cells.features[images].movedim(1, -1).flatten(0, 2)
    return rows[labels != VOID], labels[labels != VOID]


@torch.no_grad()
def scores_of(
    model: nn.Linear, pool: Cells, labelled: list[int], rest: list[int]
) -> dict[str, Tensor]:
    """What an export would say of each image that has no labels yet.

    Returns:
        dict: ``entropy``, ``epistemic`` and ``total``, means over an image,
        and ``strange``, a percentile, (N,); ``features``, (N, D) of length 1.
    """
    held = labelled[: max(1, round(HELD_OUT * len(labelled)))]
    fitted = labelled[len(held) :]
    head = GDAHead(model.out_features, model.in_features).eval()
    moments = head.new_moments()
    rows, labels = rows_of(pool, fitted)
    head.update(moments, head.vectors(rows), labels)
    head.density.fit_moments(moments)
    head.set_fitted()

    def maps(images: list[int]) -> tuple[Tensor, Tensor]:
        z = pool.features[images]
        logits = torch.einsum('nd...,cd->nc...', z, model.weight)
        logits = logits + model.bias[:, None, None]
        return softmax_entropy(logits)[:, 0], head(z)[:, 0]

    entropy, density = Surprise(near_zero=True), Surprise()
    for surprise, scores in zip((entropy, density), maps(held)):
        surprise.fit(scores)
    novelty = ImageNovelty(3)
    novelty.fit(pool.statistics[labelled])
    strange = novelty.percentile(novelty.distances(pool.statistics[rest]))
    raw, epistemic = maps(rest)
    total = total_surprise(entropy(raw), density(epistemic))
    z = pool.features[rest].flatten(2).mT
    features = head.vectors(z.flatten(0, 1)).view_as(z).mean(1)
    return dict(
        entropy=raw.flatten(1).mean(1),
        epistemic=density.percentile(epistemic).flatten(1).mean(1),
        total=total.flatten(1).mean(1),
        strange=strange,
        features=nn.functional.normalize(features, dim=1),
    )
