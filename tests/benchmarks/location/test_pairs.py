"""Similarities of pairs, against a loop over them."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.location.pairs import pair_similarities


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
