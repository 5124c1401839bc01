"""What a head learns from the scores of training pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmseg_ddu.core.bounds import standardized

from .posterior_view import PosteriorView
from .special_views import EntropyView
from .views import spread

if TYPE_CHECKING:
    from .gda_head import GDAHead


def finite_pixels(vectors: Sequence[Tensor]) -> Tensor:
    """Which pixels are finite in every view, (N,) bool.

    Raises:
        ValueError: If none is.
    """
    rows = [vector.isfinite().all(1) for vector in vectors]
    finite = torch.stack(rows).all(0)
    if not finite.any():
        raise ValueError(
            f'All {len(finite)} calibration pixels have NaN or infinite '
            'features; the network is broken (diverged training, or half '
            'precision that overflowed).'
        )
    return finite


def calibrated_scores(
    head: GDAHead,
    vectors: Sequence[Tensor],
    predicted: Tensor | None,
    finite: Tensor,
) -> list[Tensor]:
    """Calibrate each view, store its spread, and score the pixels with it.

    Args:
        head (GDAHead): Its buffers are set.
        vectors (Sequence[Tensor]): For each view, (N, D').
        predicted (Tensor, optional): (N,) classes.
        finite (Tensor): (N,) bool, the pixels that count.

    Returns:
        list[Tensor]: For each view, (N,), as :meth:`View.score` gives them.
    """
    classes = predicted if predicted is None else predicted[finite]
    for view, vector in zip(head.views, vectors):
        view.calibrate(vector[finite], classes)
    _discount(head.views)
    scores = []
    for index, (view, vector) in enumerate(zip(head.views, vectors)):
        score = view.score(vector, predicted)
        scores.append(score)
        score = score[finite]
        mean = score.double().mean()
        width = spread(score).clamp_min(view.smallest_spread)
        head.view_mean[index], head.view_std[index] = mean, width
        if view.excess is not None:
            z = standardized(score, mean.to(width), width)
            head.view_threshold[index] = z.quantile(view.excess)
    return scores


def _discount(views: nn.ModuleList) -> None:
    """Tell posterior views what the first entropy view found aleatoric."""
    floors = [v.class_floor for v in views if isinstance(v, EntropyView)]
    for view in views:
        if isinstance(view, PosteriorView) and floors:
            view.discount(floors[0])
