"""Places and moments per cell, against direct fits."""

import pytest
import torch

from benchmarks.location.grid import GridMoments, cell_of, grid_positions
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


@pytest.mark.parametrize('diagonal', [False, True])
def test_moments_per_cell_and_coarser(diagonal):
    torch.manual_seed(0)
    features = torch.randn(400, 3).double() + 50
    labels = torch.randint(-1, 3, (400,))
    labels[labels < 0] = 255
    positions = torch.rand(400, 2) * torch.tensor([1.0, 0.7])
    moments = GridMoments(4, lambda: ClassMoments(3, 3, diagonal))
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
