"""Features by place, against loops over pairs and direct fits."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmseg_ddu.core.location import (
    GridMoments,
    cell_of,
    gaussian_numbers,
    grid_positions,
    pair_similarities,
)
from mmseg_ddu.core.moments import ClassMoments


def test_positions_of_windows_agree_with_the_whole():
    whole = grid_positions((4, 6), (0, 8, 0, 12), (8, 12)).reshape(4, 6, 2)
    part = grid_positions((2, 3), (4, 8, 6, 12), (8, 12)).reshape(2, 3, 2)
    torch.testing.assert_close(part, whole[2:, 3:])
    assert whole[0, 0].tolist() == pytest.approx([1 / 8, 1 / 12])
    assert whole[3, 0].tolist() == pytest.approx([7 / 8, 1 / 12])


def test_cells():
    positions = torch.tensor([[0.1, 0.1], [0.1, 0.9], [0.6, 0.4], [1.0, 1.0]])
    assert cell_of(positions, 1).tolist() == [0, 0, 0, 0]
    assert cell_of(positions, 2).tolist() == [0, 1, 2, 3]
    assert cell_of(positions, 10).tolist() == [11, 19, 64, 99]


def test_memory_arithmetic():
    """21 classes, 256 features: 5.5 MB once, 92 GB at each of 129 x 129."""
    one = gaussian_numbers(21, 256)
    assert one == 21 * 256 * 257
    assert one * 8 == pytest.approx(11.1e6, rel=0.01)
    assert one * 4 * 129**2 == pytest.approx(92e9, rel=0.01)
    assert one * 4 * 33**2 == pytest.approx(6.0e9, rel=0.01)
    assert gaussian_numbers(3, 5, 'diag') == 3 * 5 + 3 * 5
    assert gaussian_numbers(3, 5, 'tied') == 3 * 5 + 5 * 5


@pytest.mark.parametrize('diagonal', [False, True])
def test_moments_per_cell_and_coarser(diagonal):
    torch.manual_seed(0)
    features = torch.randn(400, 3).double() + 50
    labels = torch.randint(-1, 3, (400,))
    labels[labels < 0] = 255
    positions = torch.rand(400, 2) * torch.tensor([1.0, 0.7])
    moments = GridMoments(4, 3, 3, diagonal)
    for part in range(0, 400, 90):
        step = slice(part, part + 90)
        moments.update(features[step], labels[step], positions[step])
    for grid in (1, 2, 4):
        cells = moments.coarsened(grid)
        rows = (positions[:, 0].numpy() * grid).astype(int)
        columns = (positions[:, 1].numpy() * grid).astype(int)
        assert set(cells) == set((rows * grid + columns).tolist())
        for cell, got in cells.items():
            inside = torch.from_numpy(rows * grid + columns == cell)
            expected = ClassMoments(3, 3, diagonal)
            expected.update(features[inside], labels[inside])
            for name in ('counts', 'means', 'scatters'):
                torch.testing.assert_close(
                    getattr(got, name), getattr(expected, name)
                )
    with pytest.raises(ValueError, match='divides 4'):
        moments.coarsened(3)
    with pytest.raises(ValueError, match='at least 1'):
        GridMoments(0, 3, 3)


def test_similarities_against_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    count, edges = 40, (0.0, 0.2, 0.5, 0.9)
    features = rng.normal(size=(count, 4))
    labels = rng.choice([0, 1, 3], count)
    features += 1.5 * np.eye(4)[labels]
    positions = rng.random((count, 2))
    images = rng.integers(0, 5, count)
    got = pair_similarities(
        *map(torch.from_numpy, (features, labels, positions, images)),
        edges,
        num_classes=4,
    )
    values = {}
    for i, j in itertools.permutations(range(count), 2):
        cosine = features[i] @ features[j]
        cosine /= np.linalg.norm(features[i]) * np.linalg.norm(features[j])
        distance = math.dist(positions[i], positions[j])
        inside = [a <= distance < b for a, b in itertools.pairwise(edges)]
        if not any(inside):
            continue
        same = labels[i] == labels[j]
        kind = 2 if not same else int(images[i] != images[j])
        key = (labels[i], kind, inside.index(True))
        values.setdefault(key, []).append(cosine)
    assert int(got.counts.sum()) == sum(map(len, values.values()))
    for index in itertools.product(range(4), range(3), range(3)):
        expected = values.get(index, [])
        assert got.counts[index] == len(expected)
        if expected:
            assert got.means[index] == pytest.approx(
                np.mean(expected), abs=1e-6
            )
            assert got.stds[index] == pytest.approx(np.std(expected), abs=1e-5)
        else:
            assert torch.isnan(got.means[index])
    for label in (0, 1, 3):
        first, second = (
            [v for k in values if k[:2] == (label, kind) for v in values[k]]
            for kind in (1, 2)
        )
        truth = [1] * len(first) + [0] * len(second)
        auroc = roc_auc_score(truth, first + second)
        assert got.separability[label] == pytest.approx(auroc, abs=1e-3)
    assert torch.isnan(got.separability[2])
