"""Named choices of views."""

from __future__ import annotations

import copy
from collections.abc import Sequence

PENULTIMATE = 'penultimate'
LOGITS = 'logits'
# The preprocessed image, as the backbone gets it.
INPUT = 'input'
# Beside the taps: the class that the classifier predicts, on their grid.
PREDICTED = 'predicted'
DEFAULT = 'multi-scale'


def _image_term(tap: str, transform: str) -> dict:
    return dict(
        tap=tap,
        transform=transform,
        weight=0.25,
        excess=0.9,
        optional=True,
    )


PRESETS: dict[str, list[dict]] = {
    # Three scales, since no single score sees everything. Pixel: entropy
    # beyond what is usual even for the surest pixels of a class, on a
    # logarithmic scale, and that of a second opinion from an early stage.
    # Region (all pixels of one predicted class in the image): both on a
    # linear scale, and the density of the direction of the feature. Image:
    # how unusual its colours and its low-level statistics are, as far as
    # beyond nine tenths of the training images.
    'multi-scale': [
        dict(
            tap=PENULTIMATE,
            transform='direction',
            covariance_type='tied',
            standardize=True,
            weight=0.0,
            region_weight=0.3,
            stride=2,
        ),
        dict(tap=LOGITS, transform='entropy', window=3, log_scale=0.03),
        dict(
            tap=LOGITS,
            transform='entropy',
            weight=0.0,
            region_weight=0.3,
            stride=2,
        ),
        dict(
            tap='backbone[2]',
            transform='posterior',
            weight=0.3,
            region_weight=0.3,
            optional=True,
        ),
        _image_term(INPUT, 'colors'),
        *(
            _image_term(f'backbone[{stage}]', 'signal_to_noise')
            for stage in range(3)
        ),
    ],
    # The paper: one full-covariance Gaussian per class on the penultimate
    # feature, no class prior (arXiv 2111.00079, 2102.11582).
    'ddu-paper': [dict(tap=PENULTIMATE, transform='raw')],
    # L2-normalised features (Mahalanobis++, arXiv 2505.18032).
    'direction': [dict(tap=PENULTIMATE, transform='direction')],
    # Direction and length apart; both too short and too long are unusual.
    'polar': [
        dict(tap=PENULTIMATE, transform='direction'),
        dict(tap=PENULTIMATE, transform='log_norm'),
    ],
    # Both, each relative to what is usual for the predicted class.
    'class-polar': [
        dict(tap=PENULTIMATE, transform='direction', standardize=True),
        dict(tap=PENULTIMATE, transform='log_norm', standardize=True),
    ],
}


def resolve_views(views: str | Sequence[dict]) -> list[dict]:
    """The list of view configs behind a preset name or a list.

    Raises:
        ValueError: On an unknown preset or an empty list.
    """
    if isinstance(views, str):
        if views not in PRESETS:
            raise ValueError(
                f'Expected views to be a list or one of {sorted(PRESETS)}, '
                f'but got {views!r}.'
            )
        views = PRESETS[views]
    if not views:
        raise ValueError('Expected at least one view.')
    return [copy.deepcopy(dict(view)) for view in views]
