"""What becomes of a feature before its density sees it."""

import pytest
import torch

from mmseg_ddu.core.transforms import TRANSFORMS


def weight(classes=4, channels=9):
    return torch.randn(classes, channels)


def test_directions_of_any_length():
    vectors = torch.randn(5, 40) * torch.tensor(
        [[1e-9], [1e-4], [1.0], [1e10], [1e17]]
    )
    got = TRANSFORMS.find('direction')(40, 3)(vectors)
    vectors = vectors.double()
    expected = (vectors / vectors.norm(dim=1, keepdim=True)).float()
    torch.testing.assert_close(got, expected)
    direction = TRANSFORMS.find('direction')(4, 3)
    assert (direction(torch.zeros(1, 4)) == 0).all()
    # Squares overflow: no direction, and far from all that have one.
    assert direction(torch.full((1, 4), 1e20)).norm() > 10
    for value in (torch.nan, torch.inf):
        assert not direction(torch.full((1, 4), value)).isfinite().any()


def test_what_the_classifier_reads_and_the_rest():
    w = weight()
    row, null = (
        TRANSFORMS.find(name)(9, 4) for name in ('row_space', 'null_space')
    )
    for part in (row, null):
        part.fit(w)
    assert (row.num_features, null.num_features) == (3, 6)
    z = torch.randn(50, 9)
    read, rest = row(z), null(z)
    length = read.square().sum(1) + rest.square().sum(1)
    torch.testing.assert_close(length, z.square().sum(1))
    # Moving along the null space changes no difference of logits.
    moved = z + torch.randn(50, 6) @ null.basis.mT
    before, after = z @ w.mT, moved @ w.mT
    torch.testing.assert_close(
        after - after[:, :1], before - before[:, :1], atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(row(moved), read, atol=1e-4, rtol=1e-4)


def test_binary_classifier_reads_one_direction():
    row = TRANSFORMS.find('row_space')(9, 2)
    row.fit(weight(classes=1))
    assert row.num_features == 1 and row.basis.norm() == pytest.approx(1)


def test_nothing_left_is_an_error():
    with pytest.raises(ValueError, match='nothing'):
        TRANSFORMS.find('null_space')(3, 9)
    with pytest.raises(ValueError, match='direction.*null_space'):
        TRANSFORMS.find('square')
