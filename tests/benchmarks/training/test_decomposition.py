"""The simulation and its sums, against scipy and scikit-learn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from benchmarks.training import decomposition, simulated_parts
from mmseg_ddu.core.surprise import Surprise


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(simulated_parts, 'NUMBER', 3000)
    monkeypatch.setattr(simulated_parts, 'CHANNELS', 32)


def reference(drawn, vectors):
    """Minus the log density of both parts, as they were drawn; float64."""
    z = (vectors @ drawn.turn.T).double().numpy()
    read, means = simulated_parts.READ, drawn.means.double().numpy()
    classes = [multivariate_normal(mean).logpdf(z[:, :read]) for mean in means]
    rest = multivariate_normal(np.zeros(z.shape[1] - read))
    one = np.log(len(means)) - logsumexp(classes, axis=0)
    return one, -rest.logpdf(z[:, read:])


def surprise(held_out, scores):
    """From the share of held-out scores that are at least as large."""
    below = np.searchsorted(np.sort(held_out), scores)
    return -np.log1p(-below.clip(max=len(held_out) - 1) / len(held_out))


def test_parts_and_their_sum_are_those_of_the_true_densities(small):
    drawn = simulated_parts.Drawn(0)
    densities = simulated_parts.Densities(drawn)
    known, near, far = (
        drawn.vectors(**moved)[0] for moved in ({}, {'near': 4}, {'far': 5})
    )
    held_out = reference(drawn, drawn.vectors()[0])
    vectors = torch.cat([known, near, far])
    unknown = np.arange(len(vectors)) >= len(known)
    one, other = reference(drawn, vectors)
    expected = {
        'all': one + other,
        'row_space': one,
        'null_space': other,
        'row_space + null_space': surprise(held_out[0], one)
        + surprise(held_out[1], other),
    }
    rows = densities.rows(vectors)
    for name, values in expected.items():
        found = roc_auc_score(unknown, rows[name])
        assert found == pytest.approx(roc_auc_score(unknown, values), abs=0.01)
    split = roc_auc_score(unknown, rows['row_space + null_space'])
    assert split > roc_auc_score(unknown, rows['all']) + 0.01


def test_the_whole_is_as_good_as_it_was_set(small):
    found = simulated_parts.simulate(0)
    assert found['all']['near'] == pytest.approx(0.94, abs=0.01)
    assert found['all']['far'] == pytest.approx(0.94, abs=0.01)
    assert found['row_space']['far'] == pytest.approx(0.5, abs=0.03)
    assert found['null_space']['near'] == pytest.approx(0.5, abs=0.03)


def test_sums_are_those_of_the_surprises_of_a_model():
    held_out = torch.randn(4, 1000)
    tables = {}
    for name, values in zip(decomposition.HEADS, held_out):
        tables[f'epistemic_{name}'] = Surprise()
        tables[f'epistemic_{name}'].fit(values)
    scores = dict(zip(decomposition.HEADS, torch.randn(4, 50)))
    decomposition.add_sums(scores, SimpleNamespace(surprises=tables))
    expected = sum(
        surprise(values.numpy(), scores[name].numpy())
        for name, values in list(zip(decomposition.HEADS, held_out))[:2]
    )
    found = scores['row_space + null_space'].numpy()
    usual = expected < 5
    np.testing.assert_allclose(found[usual], expected[usual], atol=0.1)
