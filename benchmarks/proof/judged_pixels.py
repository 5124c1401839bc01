"""The pixels that a network is judged on, whatever the question."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.progress import track
from torch import nn

from benchmarks.proof import foreign_data
from benchmarks.proof.networks import Network
from benchmarks.proof.pixel_scores import PixelScores, score_pixels
from mmseg_ddu.datasets.shifts import SHIFTS, shifted

PIXELS, SHIFTED_PIXELS = 2000, 1000  # of an image
Scoring = Callable[..., PixelScores]  # of a data set, images, pixels


def scoring(
    model: nn.Module, seed: int, statistics=None, peers=None
) -> Scoring:
    """``score_pixels`` of one network and seed."""
    return partial(
        score_pixels, model, statistics=statistics, seed=seed, peers=peers
    )


def plain_and_moved(
    test: dict, score: Scoring, args
) -> tuple[PixelScores, dict[str, PixelScores]]:
    """Of ``args.images`` test images, and of some with each shift."""

    def of_shift(kind: str) -> PixelScores:
        config = shifted(test, kind)
        return score(config, number=args.shift_images, pixels=SHIFTED_PIXELS)

    plain = score(test, number=args.images, pixels=PIXELS)
    return plain, {k: of_shift(k) for k in track(SHIFTS, 'Shifts')}


def sets_of_unknown(
    network: Network, test: dict, data: Path
) -> dict[str, tuple[dict, tuple[int, ...]]]:
    """Name to a data set, and what unknown objects are in its masks."""
    sets = {name: (test, values) for name, values in network.unknown.items()}
    if 'CAMVID' in network.data:
        roads = foreign_data.road_anomaly(data, test['pipeline'])
        sets['road_anomaly'] = roads, (foreign_data.ANOMALY,)
    return sets


def unknown_pixels(
    network: Network, test: dict, plain: PixelScores, score: Scoring, args
) -> dict[str, tuple[PixelScores, tuple[int, ...]]]:
    """Name to pixels of a set with unknown objects, and their values."""
    return {
        name: (
            plain
            if data is test
            else score(data, number=args.images, pixels=PIXELS),
            values,
        )
        for name, (data, values) in sets_of_unknown(
            network, test, args.data
        ).items()
    }
