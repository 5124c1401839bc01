"""Grouped counts against scikit-learn and numpy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmseg_ddu.core.metrics.pixel_groups import PixelGroups


def scores(rng, shift, number=4000):
    return torch.from_numpy(rng.normal(shift, 2, number)).float()


def test_any_groups_against_any_others():
    rng = np.random.default_rng(0)
    values = {name: scores(rng, i) for i, name in enumerate('abcd')}
    counts, other = PixelGroups(bits=32), PixelGroups(bits=32)
    for name, value in values.items():
        counts.update(name, value[:1000])
        other.update(name, value[1000:].reshape(2, -1))
    counts.merge_state(other.state_dict())
    for positives, negatives in (('a', 'b'), ('cd', 'ab'), ('b', 'acd')):
        parts = [values[name] for name in positives + negatives]
        labels = [[name in positives] * 4000 for name in positives + negatives]
        expected = roc_auc_score(np.concatenate(labels), torch.cat(parts))
        got = counts.versus(positives, negatives).auroc()
        assert got == pytest.approx(expected, abs=1e-9)
    assert counts.versus(['a', 'absent', 'd'], []).num_positives == 8000
    assert counts.versus(['absent'], ['a']).num_positives == 0


def test_state_through_a_file(tmp_path):
    rng = np.random.default_rng(3)
    counts = PixelGroups()
    for name in 'aabc':
        counts.update(name, scores(rng, 1))
    counts.update('nothing', torch.zeros(0))
    torch.save(counts.state_dict(), tmp_path / 'state.pth')
    state = torch.load(tmp_path / 'state.pth', weights_only=True)
    again, twice = PixelGroups(), PixelGroups()
    again.merge_state(state)
    twice.merge_state(state)
    twice.merge_state(state)
    assert again.groups.keys() == counts.groups.keys()
    for name, expected in counts.groups.items():
        assert torch.equal(again.groups[name].keys, expected.keys)
        assert torch.equal(again.groups[name].counts, expected.counts)
        assert torch.equal(twice.groups[name].counts, 2 * expected.counts)


def test_histogram_against_numpy():
    rng = np.random.default_rng(1)
    counts = PixelGroups()
    a, b = scores(rng, 0), scores(rng, 3)
    counts.update('a', a)
    counts.update('b', b)
    got = counts.histogram(dict(first=['a'], both=['a', 'b'], none=['c']), 20)
    edges = np.array(got['edges'])
    assert set(got) == {'edges', 'first', 'both'}
    both = torch.cat([a, b]).double().numpy()
    ends = np.quantile(both, [0.005, 0.995])
    np.testing.assert_allclose(edges[[0, -1]], ends, atol=0.02)
    for label, value in (('first', a.double().numpy()), ('both', both)):
        clipped = value.clip(edges[0], edges[-1])
        expected = np.histogram(clipped, edges)[0] / len(value)
        np.testing.assert_allclose(got[label], expected, atol=0.002)
        assert sum(got[label]) == pytest.approx(1)


def test_one_value():
    counts = PixelGroups()
    counts.update('a', torch.zeros(5))
    counts.update('a', torch.zeros(0))
    assert sum(counts.histogram(dict(a=['a']))['a']) == 1
    assert PixelGroups().histogram(dict(a=['a'])) == dict(edges=[])
