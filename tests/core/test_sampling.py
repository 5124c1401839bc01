"""Seeded pixel choices."""

import torch

from mmseg_ddu.core import (
    PixelReservoir,
    random_keys,
    sample_per_class,
)


def test_keys_depend_on_the_seed_alone():
    first = random_keys((50,), 0, 7, 1)
    assert torch.equal(first, random_keys((50,), 0, 7, 1))
    assert not torch.equal(first, random_keys((50,), 0, 8, 1))
    assert not torch.equal(first, random_keys((50,), 1, 7, 1))


def test_budget_per_class():
    labels = torch.tensor([0] * 50 + [1] * 3 + [255] * 20 + [2] * 10)
    chosen = sample_per_class(labels, 5, random_keys(labels.shape, 0), 3)
    assert torch.bincount(labels[chosen]).tolist() == [5, 3, 5]
    everything = sample_per_class(labels, None, labels, 3)
    assert len(everything) == 63
    none = sample_per_class(torch.full((4,), 255), 5, labels[:4], 3)
    assert len(none) == 0


def test_every_pixel_is_equally_likely():
    labels = torch.zeros(20, dtype=torch.int64)
    hits = torch.zeros(20)
    for seed in range(2000):
        keys = random_keys(labels.shape, seed)
        hits[sample_per_class(labels, 5, keys, 1)] += 1
    # 500 expected each, standard deviation 19.
    assert (hits - 500).abs().max() < 100


def test_reservoir_does_not_depend_on_order():
    keys = random_keys((1000,), 3)
    values = torch.arange(1000)

    def sample(chunks):
        reservoir = PixelReservoir(64)
        for chunk in chunks:
            reservoir.update(keys[chunk], values[chunk])
        return set(reservoir.sample()[0].tolist())

    expected = set(keys.topk(64, largest=False).indices.tolist())
    assert sample(values.split(1000)) == expected
    assert sample(values.flip(0).split(37)) == expected
    left, right = PixelReservoir(64), PixelReservoir(64)
    left.update(keys[:300], values[:300])
    right.update(keys[300:], values[300:])
    left.merge(right)
    assert set(left.sample()[0].tolist()) == expected
    assert len(left) == 64


def test_empty_sample():
    assert PixelReservoir(3).sample() == ()


def test_state_of_a_reservoir_goes_on():
    keys, values = random_keys((1000,), 3), torch.arange(1000)
    whole, first = PixelReservoir(64), PixelReservoir(64)
    whole.update(keys, values)
    first.update(keys[:100], values[:100])
    second = PixelReservoir.from_state_dict(first.state_dict())
    second.update(keys[100:], values[100:])
    assert torch.equal(second.sample()[0], whole.sample()[0])


def test_empty_reservoirs_merge():
    empty = PixelReservoir.from_state_dict(PixelReservoir(3).state_dict())
    empty.merge(PixelReservoir(3))
    assert empty.sample() == () and len(empty) == 0
