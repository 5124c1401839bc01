"""Do whole images and sliding windows give the same map?"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.models.map_names import PERCENTILE

from .error_figures import column, numbers
from .image_parts import PIXELS
from .over_images import draws, share_of, with_interval

MOST_PIXELS = 2_000_000  # of an image that is predicted as a whole
FLAGGED = 0.95


@torch.no_grad()
def measure_modes(model: nn.Module, item: dict, seed: int) -> Part:
    """The epistemic map of sampled pixels in both modes.

    Empty if the image is too large.
    """
    size = tuple(item['inputs'].shape[1:])
    if size[0] * size[1] > MOST_PIXELS:
        return {}
    used = model.test_cfg
    found = {}
    try:
        for name, test_cfg in _modes(used, size).items():
            model.test_cfg = test_cfg
            sample = model.test_step(as_batch(copy.deepcopy(item)))[0]
            total = sample.pred_epistemic.data.numel()
            generator = torch.Generator().manual_seed(seed)
            where = torch.randint(total, (PIXELS,), generator=generator)
            for kind in ('', PERCENTILE):
                values = sample.get(f'pred_epistemic{kind}').data
                found[name + kind] = values.cpu().flatten()[where].numpy()
    finally:
        model.test_cfg = used
    return found


def _modes(used: dict, size: Sequence[int]) -> dict[str, ConfigDict]:
    """``used``, the mode of the config, and ``other``."""
    other = ConfigDict(mode='whole')
    if used.get('mode', 'whole') == 'whole':
        crop = [max(1, 2 * side // 3) for side in size]
        stride = [max(1, side // 3) for side in size]
        other = ConfigDict(mode='slide', crop_size=crop, stride=stride)
    return dict(used=used, other=other)


def mode_figures(parts: Sequence[Part], used: str, seed: int) -> dict:
    """Rank correlation, and the share of flags that are lost."""
    parts = [part for part in parts if part]
    if not parts:
        return dict(images=0)
    times = draws(len(parts), seed)
    used_map, other_map = column(parts, 'used'), column(parts, 'other')
    images = numbers(parts, 'used')
    flagged = column(parts, f'used{PERCENTILE}') > FLAGGED
    lost = column(parts, f'other{PERCENTILE}') <= FLAGGED

    def correlation(drawn: Tensor) -> float:
        again = drawn[images]
        return rank_correlation(
            used_map.repeat_interleave(again),
            other_map.repeat_interleave(again),
        )

    return dict(
        images=len(parts),
        used=used,
        correlation=with_interval(correlation, times),
        flags=float(flagged.float().mean()),
        flips=share_of(lost[flagged], images[flagged], times),
    )


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's: of the ranks, those of equals being their mean."""
    ranks = torch.stack([_ranks(first), _ranks(second)])
    return float(torch.corrcoef(ranks)[0, 1])


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    counts = counts.double()
    return (counts.cumsum(0) - (counts - 1) / 2)[place]
