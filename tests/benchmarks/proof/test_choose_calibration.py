"""Which images calibrate: the questions and the rule, on drawn pixels."""

import math

import pytest
import torch

from benchmarks.proof.choose_calibration import (
    LIKELIHOOD,
    Seen,
    chosen_way,
    figures,
    judge,
)
from mmseg_ddu.models.map_names import MAPS
from tests.engine.pixel_network import pixel_network


def drawn(seed):
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.randn(60, 3, generator=rng)
    classes = torch.arange(60) % 3
    cells = torch.randn(200, 3, generator=rng)
    return Seen(vectors, classes, cells, torch.rand(200, generator=rng))


@pytest.mark.parametrize('joins', [True, False])
def test_pixels_like_those_of_the_fit(joins, monkeypatch):
    monkeypatch.setattr('benchmarks.proof.choose_calibration.FITTED', 20)
    images = [drawn(seed) for seed in range(60)]
    found = judge(pixel_network(), images, 10, joins)
    for name in MAPS:
        assert found[name] == pytest.approx(0.05, abs=0.02)
    # The entropy of a standard normal in three dimensions.
    expected = -1.5 * (1 + math.log(2 * math.pi))
    assert found[LIKELIHOOD] == pytest.approx(expected, abs=0.1)


def test_the_way_that_is_never_far_off():
    runs = dict.fromkeys(MAPS, [0.04, 0.06])
    assert figures({**runs, LIKELIHOOD: [1.0, 3.0]}) == {
        **dict.fromkeys(MAPS, pytest.approx(-0.01)),
        LIKELIHOOD: 2.0,
    }
    worse = dict.fromkeys(MAPS, [0.05, 0.09])
    network = dict(
        a={**worse, LIKELIHOOD: [2.0]}, b={**runs, LIKELIHOOD: [2.0]}
    )
    assert chosen_way(dict(one=network, other=network)) == 'b'
