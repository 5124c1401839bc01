"""The share of the doubt that all pixels of a class have in common."""

import numpy as np
import torch

from mmseg_ddu.core.shared_doubt import shared_doubt


def test_share_of_torn_and_of_mixed_classes():
    rng = np.random.default_rng(0)
    torn = 0.69 + 0.02 * rng.standard_normal(300)  # each pixel alike
    between = rng.uniform(0.4, 1.0, 300)
    mixed = rng.exponential(0.3, 300)
    entropies = np.concatenate([torn, between, mixed, rng.uniform(0, 1, 19)])
    classes = np.repeat([0, 2, 3, 4], [300, 300, 300, 19])
    doubt = shared_doubt(
        torch.from_numpy(entropies), torch.from_numpy(classes), 5
    )
    for label, values in ((0, torn), (2, between), (3, mixed)):
        share = 1 - (2.5 * values.std() / values.mean()) ** 4
        expected = values.mean() * max(0, share)
        np.testing.assert_allclose(doubt[label], expected)
    assert doubt[0] > 0.68 and 0 < doubt[2] < 0.69 and doubt[3] == 0
    # Never predicted, and too seldom.
    assert (doubt[[1, 4]] == 0).all()


def test_a_class_that_is_certain_has_nothing_to_share():
    classes = torch.zeros(50, dtype=torch.int64)
    for certain in (1e-300, 0.0):
        entropies = torch.full((50,), certain, dtype=torch.float64)
        doubt = shared_doubt(entropies, classes, 1)
        assert 0 <= doubt < 1e-15
