"""Component metrics against sets of pixels."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from mmseg_ddu.core.metrics.connected_components import (
    ComponentCounts,
    component_overlaps,
)


def image(seed=0, shape=(40, 50)):
    """Blobs of truth, and a prediction that overlaps them in part."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    truth = field > np.quantile(field, 0.85)
    predicted = field + 0.7 * noise > np.quantile(field, 0.8)
    known = ndimage.gaussian_filter(rng.normal(size=shape), 3) < 0.15
    return label(predicted & known), label(truth & known), known


def label(mask):
    return ndimage.label(mask, np.ones((3, 3)))[0].astype(np.int64)


def pixels(components, least=0):
    """Component number to the set of its pixels."""
    found = {}
    for where, number in np.ndenumerate(components):
        if number:
            found.setdefault(number, set()).add(where)
    return {k: v for k, v in found.items() if len(v) >= least}


def by_sets(predicted, truth, known, min_predicted, min_truth):
    """The definitions, with sets."""
    found, truths = pixels(predicted, min_predicted), pixels(truth)
    void = {where for where, k in np.ndenumerate(known) if not k}
    for part in truths.values():
        if len(part) < min_truth:
            void |= part
    truths = {k: v - void for k, v in truths.items() if v - void}
    found = {k: v - void for k, v in found.items() if v - void}
    siou = []
    for number, part in truths.items():
        touching = set().union(*(f for f in found.values() if f & part))
        others = set().union(
            *(t for other, t in truths.items() if other != number)
        )
        union = (part | touching) - (touching & others)
        siou.append(len(part & touching) / len(union))
    everything = set().union(*truths.values())
    ppv = [len(f & everything) / len(f) for f in found.values()]
    return siou, ppv


def counted(*images, **options):
    counts = ComponentCounts(**options)
    for arrays in images:
        counts.update(*map(torch.tensor, arrays))
    return counts


@pytest.mark.parametrize('sizes', [(0, 0), (8, 12), (30, 25)])
def test_against_sets(sizes):
    images = [image(seed) for seed in range(4)]
    siou, ppv = [], []
    for arrays in images:
        one, other = by_sets(*arrays, *sizes)
        siou += one
        ppv += other
    assert len(siou) > 5 and len(ppv) > 5
    counts = counted(*images, min_predicted=sizes[0], min_truth=sizes[1])
    assert counts.sums[:, 0].tolist() == [len(siou), len(ppv)]
    assert counts.siou() == pytest.approx(np.mean(siou))
    assert counts.ppv() == pytest.approx(np.mean(ppv))
    scores = []
    for level in np.linspace(0.25, 0.75, 11).round(2):
        found = sum(s >= level for s in siou)
        missed = len(siou) - found
        wrong = sum(p < level for p in ppv)
        scores.append(2 * found / (2 * found + missed + wrong))
    assert counts.f1() == pytest.approx(np.mean(scores))


def test_one_finding_over_two_truths_is_not_punished_for_the_other():
    truth = torch.tensor([1, 1, 0, 2, 2, 2])
    siou, ppv = component_overlaps(torch.ones(6), truth)
    assert siou.tolist() == pytest.approx([2 / 3, 3 / 4])
    assert ppv.tolist() == pytest.approx([5 / 6])


def test_merging_is_pooling():
    one = counted(image(0), min_truth=5)
    one.merge(counted(image(1), min_truth=5))
    both = counted(image(0), image(1), min_truth=5)
    for name in ('siou', 'ppv', 'f1'):
        assert getattr(one, name)() == pytest.approx(getattr(both, name)())
    with pytest.raises(ValueError, match='min_truth'):
        one.merge(counted())


def test_nothing_to_find_nothing_found():
    nothing = np.zeros((3, 4), np.int64)
    something = nothing.copy()
    something[0] = 1
    empty = counted((nothing, nothing))
    assert all(map(math.isnan, (empty.siou(), empty.ppv(), empty.f1())))
    missed = counted((nothing, something))
    assert (missed.siou(), missed.f1()) == (0, 0) and math.isnan(missed.ppv())
    wrong = counted((something, nothing))
    assert (wrong.ppv(), wrong.f1()) == (0, 0) and math.isnan(wrong.siou())
    right = counted((something, something))
    assert (right.siou(), right.ppv(), right.f1()) == (1, 1, 1)
    with pytest.raises(ValueError, match='one shape'):
        counted((nothing, something[:2]))
