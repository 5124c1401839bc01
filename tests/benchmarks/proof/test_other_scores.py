"""Scores of others, against scikit-learn and float64 by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from benchmarks.proof import training_statistics as module
from benchmarks.proof.figures import mean_and_std


@pytest.fixture
def drawn(monkeypatch):
    torch.manual_seed(0)
    classifier = nn.Conv2d(6, 3, 1)
    head = SimpleNamespace(conv_seg=classifier)
    monkeypatch.setattr(module, 'classifying_head', lambda _: head)
    features = torch.randn(200, 6) + 1
    logits = classifier(features[:, :, None, None]).detach()[:, :, 0, 0]
    found = module.TrainingStatistics(None, features, logits)
    return found, classifier, features, logits


def test_knn_is_that_of_scikit_learn(drawn):
    found, _, features, _ = drawn
    queries = torch.randn(30, 6)
    bank = nn.functional.normalize(features).numpy()
    neighbours = NearestNeighbors(n_neighbors=10).fit(bank)
    unit = nn.functional.normalize(queries).numpy()
    expected = neighbours.kneighbors(unit)[0][:, -1]
    np.testing.assert_allclose(found.knn(queries), expected, atol=1e-3)


def test_virtual_logit_by_hand(drawn):
    found, classifier, features, logits = drawn
    weight = classifier.weight.detach().flatten(1).double().numpy()
    bias = classifier.bias.detach().double().numpy()
    origin = -np.linalg.pinv(weight) @ bias
    moved = features.double().numpy() - origin
    _, _, directions = np.linalg.svd(moved, full_matrices=False)
    residual = np.linalg.norm(moved @ directions[3:].T, axis=1)
    y = logits.double().numpy()
    alpha = y.max(1).sum() / residual.sum()
    expected = alpha * residual - np.log(np.exp(y).sum(1))
    np.testing.assert_allclose(
        found.vim(features, logits), expected, rtol=1e-4, atol=1e-4
    )


def test_standardised_max_logits_have_mean_0_and_deviation_1(drawn):
    found, _, _, logits = drawn
    scores = found.sml(logits)
    for c in range(3):
        values = scores[logits.argmax(1) == c]
        if len(values) > 1:
            assert abs(float(values.mean())) < 1e-5
            assert abs(float(values.std()) - 1) < 1e-4


def test_mean_and_deviation_of_nested_figures():
    runs = [{'a': 1.0, 'b': {'c': 2.0}}, {'a': 3.0, 'b': {'c': 2.0}}]
    assert mean_and_std(runs) == {
        'a': 2.0,
        'a_std': 1.0,
        'b': {'c': 2.0, 'c_std': 0.0},
    }
