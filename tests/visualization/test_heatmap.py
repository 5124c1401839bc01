"""Heat maps: scale, colours, sizes."""

import matplotlib
import numpy as np
import pytest

from mmseg_ddu.visualization.heatmap import (
    LOST_COLOR,
    Colors,
    color_bar,
    colorize,
    heat_map,
    side_by_side,
)
from mmseg_ddu.visualization.prediction import panel


def test_colours_are_matplotlibs_and_clipped():
    values = np.array([[-5.0, 0.0, 5.0, 10.0, 99.0]])
    got = colorize(values, 0, 10, 'magma')
    expected = matplotlib.colormaps['magma'](
        np.clip(values / 10, 0, 1), bytes=True
    )[..., :3]
    assert np.abs(got.astype(int) - expected).max() <= 3


def test_constant_scale_does_not_divide_by_zero():
    assert colorize(np.ones((2, 2)), 1, 1).shape == (2, 2, 3)


@pytest.mark.parametrize(
    'shape', [(1, 1), (300, 40), (4, 3000), (375, 500), (70000, 1)]
)
def test_any_size(shape):
    picture = heat_map(np.random.rand(*shape), Colors(0, 1, 'share'))
    assert picture.dtype == np.uint8
    assert picture.shape[0] >= 160
    assert picture.shape[1] < 5000
    row = side_by_side(dict(one=picture, two=picture[:7]))
    assert row.shape[0] == picture.shape[0] + 26


def test_color_bar_runs_from_dark_to_bright():
    bar = color_bar(300, Colors(0.0, 2.0, 'nats', 'magma')).astype(int)
    assert bar.shape[0] == 300
    column = bar[:, 10].sum(1)
    assert column[30] > column[150] > column[270]


def test_class_colours_lie_over_the_image():
    image = np.full((200, 100, 3), 200, np.uint8)
    classes = np.zeros((200, 100), np.uint8)
    classes[100:] = 1
    palette = [[0, 100, 50], [201, 0, 0]]
    for alpha, top, bottom in (
        (0.0, [200, 200, 200], [200, 200, 200]),
        (0.5, [100, 150, 125], [200, 100, 100]),
        (1.0, *palette),
    ):
        shown = panel(image, dict(a=classes), {}, {}, palette, alpha)
        assert (shown[26:226, :100] == 200).all()
        assert (shown[26:126, 106:] == top).all()
        assert (shown[126:226, 106:] == bottom).all()


def test_lost_pixels_have_their_own_colour_on_the_map_and_on_the_bar():
    values = np.random.default_rng(0).random((200, 90))
    lost = values > 0.9
    for cmap in ('viridis', 'magma', 'inferno'):
        picture = heat_map(values, Colors(0, 1, 'share', cmap), lost)
        cyan = (picture == LOST_COLOR).all(-1)
        assert (cyan[:, :90] == lost).all()
        assert cyan[:, 90:].any()
        without = heat_map(values, Colors(0, 1, 'share', cmap))
        assert not (without == LOST_COLOR).all(-1).any()


def test_ticks_with_words_make_another_bar():
    ticks = (1, '1 in 10'), (2, '1 in 100')
    bar = color_bar(200, Colors(0, 4, 'a', 'magma', ticks))
    numbers = color_bar(200, Colors(0, 4, 'a', 'magma'))
    assert bar.shape[0] == numbers.shape[0] == 200
    assert bar.shape[1] > numbers.shape[1]
