"""Kinds put in against kinds named: counts, and a network that is right."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from benchmarks.decisions.label_error_kinds import (
    FIRST,
    OTHERS,
    Found,
    confusion,
    look,
)
from benchmarks.decisions.spoiled_labels import spoil

CLASSES = 8
# What is added may lie on another object, and looks swapped then.
EXPECTED = dict(
    swap='swapped class',
    drop='missing object',
    shift='shifted mask',
    coarse='wrong border',
)


def seen(score, kind, on_error=False):
    return Found(score, lambda: kind, on_error)


def test_counts_of_the_first_images():
    """Of 60 images the first 50 count, spoiled ones by their own score."""
    plain = [seen(100.0 - index, 'unclear') for index in range(60)]
    spoiled = [
        {0: ('swap', None), 1: ('drop', None), 55: ('add', None)},
        {2: ('drop', None), 3: ('drop', None)},
    ]
    changed = [
        {
            0: seen(1.0, 'swapped class', True),  # not listed any more
            1: seen(99.5, 'missing object', True),
            55: seen(200.0, 'extra object', True),
        },
        {
            2: seen(98.0, 'wrong border', True),
            3: seen(97.0, 'missing object', False),  # elsewhere
        },
    ]
    counts = confusion(plain, spoiled, changed)
    there = {
        (kind, name): number
        for kind, row in counts.items()
        for name, number in row.items()
        if number
    }
    assert there == {
        ('drop', 'missing object'): 1,
        ('add', 'extra object'): 1,
        ('drop', 'wrong border'): 1,
        (OTHERS, 'missing object'): 1,
        (OTHERS, 'unclear'): 2 * FIRST - 4,
    }


@pytest.fixture(scope='module')
def every():
    """A disk and a box of two classes on a third, in each image."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((96, 128))
    found = []
    for _ in range(60):
        ground, first, second = rng.permutation(CLASSES)[:3]
        labels = np.full(rows.shape, ground, np.uint8)
        y, x, radius = rng.integers((30, 25, 12), (60, 40, 20))
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = first
        top, left, height, width = rng.integers(
            (15, 75, 25, 20), (40, 85, 40, 30)
        )
        labels[top : top + height, left : left + width] = second
        found.append(labels)
    return found


def test_with_a_network_that_is_right_the_kind_is_named(every):
    samples, generator = iter(every), torch.Generator().manual_seed(0)

    def test_step(data):
        labels = torch.from_numpy(next(samples)).long()
        sure = 9 + torch.rand(labels.shape, generator=generator)
        logits = sure * F.one_hot(labels, CLASSES).permute(2, 0, 1)
        fields = dict(
            gt_sem_seg=labels[None],
            pred_sem_seg=labels[None],
            seg_logits=logits,
        )
        sample = SegDataSample()
        for name, values in fields.items():
            sample.set_data({name: PixelData(data=values)})
        return [sample]

    model = SimpleNamespace(
        test_step=test_step, decode_head=SimpleNamespace(ignore_index=255)
    )
    spoiled = [spoil(every, CLASSES, seed) for seed in range(2)]
    dataset = [dict(inputs=torch.zeros(1))] * len(every)
    plain, changed = look(model, dataset, spoiled)
    assert {row.kind() for row in plain} == {'unclear'}
    hits = {kind: [] for kind in EXPECTED}
    for errors, seen in zip(spoiled, changed):
        for index, (kind, _) in errors.items():
            if kind not in EXPECTED:
                continue
            assert seen[index].on_error
            assert seen[index].score > plain[index].score
            hits[kind].append(seen[index].kind() == EXPECTED[kind])
    assert {kind: len(each) for kind, each in hits.items()} == dict.fromkeys(
        EXPECTED, 6
    )
    # A name that is by chance that of what is around is a missing object.
    shares = {kind: np.mean(each) for kind, each in hits.items()}
    assert min(shares.values()) >= 0.75, shares
