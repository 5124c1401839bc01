"""Spoiled labels are as the docs say; figures are scikit-learn's."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.decisions.label_errors import judge, label_scores, review
from benchmarks.decisions.spoiled_labels import KINDS, VOID, spoil


@pytest.fixture(scope='module')
def every():
    """Blobs of four classes, with a void frame."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        coarse = rng.integers(0, 4, (6, 8))
        labels = np.kron(coarse, np.ones((12, 12))).astype(np.uint8)
        labels[:2] = VOID
        found.append(labels)
    return found


def test_each_kind_has_its_share_and_void_stays(every):
    errors = spoil(every, 4, 3)
    kinds = [kind for kind, _ in errors.values()]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(
        KINDS, 3
    )
    for index, (kind, labels) in errors.items():
        before = every[index]
        changed = labels != before
        assert changed.mean() >= 0.003
        assert not changed[before == VOID].any()
        assert labels[before != VOID].max() < 4
        if kind in ('swap', 'drop'):
            assert len(np.unique(before[changed])) == 1
        if kind in ('swap', 'drop', 'coarse', 'add'):
            assert len(np.unique(labels[changed])) == 1


def test_spoiling_is_seeded(every):
    first, again, other = (spoil(every, 4, seed) for seed in (0, 0, 1))
    assert list(first) == list(again) != list(other)
    for index in first:
        assert (first[index][1] == again[index][1]).all()


def test_figures():
    rng = np.random.default_rng(1)
    truth = rng.random(200) < 0.2
    score = (truth + 2 * rng.random(200)).astype(np.float32)
    found = judge(score.tolist(), truth.tolist())
    order = sorted(range(200), key=lambda n: -score[n])
    assert found['precision50'] == np.mean([truth[n] for n in order[:50]])
    hits = sum(truth[n] for n in order[:20])
    assert found['recall10'] == pytest.approx(hits / truth.sum())
    assert found['auroc'] == pytest.approx(roc_auc_score(truth, score))
    names = ('disagreement', 'total', 'entropy', 'epistemic', 'energy')
    values = rng.integers(0, 9, (60, len(names)))  # with ties
    rows = [dict(zip(names, row)) for row in values]
    for place, name in enumerate(names[1:], 1):
        expected = spearmanr(values[:, 0], values[:, place]).statistic
        assert review(rows)[name] == pytest.approx(expected)


def test_scores_that_see_labels():
    log_probs = np.log(np.full((4, 100), 0.25, np.float32))
    log_probs[:, :2] = np.log([[0.5], [0.25], [0.125], [0.125]])
    labels = np.full(100, 3)
    ordinary = np.full(100, 0.5)
    ordinary[:2] = 0.25
    found = label_scores(log_probs, labels, ordinary)
    assert found['ours'] == pytest.approx(np.log(8))
    assert found['weighted'] == pytest.approx(np.log(4) / 2)
    assert found['disagreement'] == 1.0
