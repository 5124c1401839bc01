"""Labels on grids."""

import torch

from mmseg_ddu.engine.labels import cells_per_class, labels_on_grid


def test_labels_go_to_the_grid_by_nearest_neighbour():
    labels = torch.zeros(8, 8)
    labels[:4, 4:] = 255
    labels[4:, :4] = 3
    assert labels_on_grid(labels, (2, 2)).tolist() == [[0, 255], [3, 0]]


def test_a_budget_of_each_class():
    labels = torch.arange(100).reshape(10, 10) % 4
    labels[0] = 255
    where, classes = cells_per_class(labels, (10, 10), 5, 3, 0, 1)
    assert torch.bincount(classes).tolist() == [5, 5, 5]
    assert torch.equal(labels.flatten()[where], classes)
    again, _ = cells_per_class(labels, (10, 10), 5, 3, 0, 1)
    other, _ = cells_per_class(labels, (10, 10), 5, 3, 0, 2)
    assert torch.equal(where, again) and not torch.equal(where, other)
    everything, _ = cells_per_class(labels, (10, 10), None, 4, 0)
    assert len(everything) == 90
