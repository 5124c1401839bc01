"""Groups of vectors against plain loops."""

import pytest
import torch

from mmseg_ddu.core import ClassGroups, GaussianDiscriminant
from tests.core.test_moments import data


@pytest.mark.parametrize('size', [1, 7, 1000])
@pytest.mark.parametrize('values', [[0, 1, 2, 3], [2], [0, 3]])
def test_blocks_cover_each_vector_once(size, values):
    rng = torch.Generator().manual_seed(0)
    pick = torch.randint(len(values), (50,), generator=rng)
    labels = torch.tensor(values)[pick]
    seen = []
    for label, where in ClassGroups(labels, 4).blocks(size):
        assert 0 < len(where) <= size
        assert (labels[where] == label).all()
        seen.append(where)
    assert torch.cat(seen).sort().values.tolist() == list(range(50))


def test_labels_out_of_range_are_an_error():
    for wrong in (-1, 3, 255):
        with pytest.raises(ValueError, match=r'classes in \[0, 3\)'):
            ClassGroups(torch.tensor([0, wrong]), 3)


def test_groups_serve_several_densities():
    x, y = data()
    groups = ClassGroups(y, 3)
    for kind in ('full', 'diag'):
        model = GaussianDiscriminant(3, 5, kind)
        model.fit(x, y)
        assert torch.equal(
            model.log_prob_of(x, groups), model.log_prob_of(x, y)
        )


def test_no_vector_at_all():
    assert list(ClassGroups(torch.zeros(0), 3).blocks(4)) == []
