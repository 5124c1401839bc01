"""Thresholds with a promise, against loops and simulations."""

import math

import pytest
import torch

from mmseg_ddu.core import risk_control as risk

VOID = 255


def image(*pixels):
    """Rows of an image of (score, class, label) pixels."""
    columns = [torch.tensor(column) for column in zip(*pixels)]
    return risk.count_errors(*columns, VOID)


def test_an_image_counted_by_hand():
    rows = image(
        (0.0, 1, 1),
        (0.02, 1, 0),
        (0.021, 1, 1),
        (5.0, 0, 0),
        (1e20, 0, 1),
        *((lost, 0, 0) for lost in (1e30, math.inf, math.nan, 1e30 / 8)),
        (math.nan, 1, 0),
        (0.5, 1, VOID),
    )
    last = risk.LEVELS - 1
    assert rows.tolist() == [
        [0, 250, 1, 0],
        [0, last, 1, 1],
        [0, last + 1, 4, 0],
        [1, 0, 1, 0],
        [1, 1, 1, 1],
        [1, 2, 1, 0],
        [1, last + 1, 1, 1],
    ]
    kept, wrong = risk.shares([rows])
    assert kept[0, -1] == 5 / 10 and wrong[0, -1] == 2 / 10


def test_shares_against_a_loop():
    rng = torch.Generator().manual_seed(0)
    scores = 3 * torch.rand(4, 500, generator=rng)
    classes = torch.randint(3, (4, 500), generator=rng)
    labels = torch.randint(3, (4, 500), generator=rng)
    labels[:, :50] = VOID
    rows = [
        risk.count_errors(*each, VOID) for each in zip(scores, classes, labels)
    ]
    limits = risk.thresholds()
    assert limits[-1] > 1e20
    for of_class in (None, 2):
        kept, wrong = risk.shares(rows, of_class)
        for number in range(4):
            there = labels[number] != VOID
            if of_class is not None:
                there &= classes[number] == of_class
            errors = there & (classes[number] != labels[number])
            for level in (0, 10, 77, 149, risk.LEVELS - 1):
                below = scores[number] <= limits[level]
                total = there.sum()
                assert (
                    kept[number, level]
                    == (there & below).sum() / total.double()
                )
                expected = (errors & below).sum() / total.double()
                assert wrong[number, level] == expected


def test_images_without_the_class_are_left_out():
    rows = [image((1.0, 0, 0)), image((1.0, 1, 0)), image((1.0, 1, VOID))]
    kept, wrong = risk.shares(rows)
    assert len(kept) == 2
    assert len(risk.shares(rows, 1)[0]) == 1
    assert len(risk.shares(rows, 5)[0]) == 0
    assert risk.level_on_average(*risk.shares(rows, 5), 0.5) is None


def draws(images, seed, certain=0.06):
    """Images whose error grows with the score, and differs between them."""
    rng = torch.Generator().manual_seed(seed)
    share = torch.linspace(0, 1, risk.LEVELS, dtype=torch.float64)
    kept = share.sqrt().expand(images, -1)
    hard = torch.rand(images, 1, generator=rng, dtype=torch.float64)
    wrong = certain * 2 * hard * kept * share
    return kept, wrong


def test_on_average_against_its_formula():
    kept, wrong = draws(60, 0)
    for error in (0.02, 0.03, 0.05, 0.2):
        best = None
        for level in range(risk.LEVELS):
            total = sum(
                float(w) - error * float(k)
                for k, w in zip(kept[:, level], wrong[:, level])
            )
            if total + 1 - error <= 1e-12:
                best = level
        assert risk.level_on_average(kept, wrong, error) == best


def test_promise_is_kept_on_average():
    """Over calibration sets, on images that took no part."""
    kept, wrong = draws(20000, 1)
    error, excess = 0.045, []
    for seed in range(200):
        level = risk.level_on_average(*draws(80, 100 + seed), error)
        excess.append(float(wrong[:, level].mean() / kept[:, level].mean()))
    assert sum(excess) / len(excess) <= error
    assert max(excess) > 0.5 * error  # and not by refusing everything


def test_promise_is_kept_with_confidence():
    kept, wrong = draws(20000, 1)
    error, broken = 0.055, 0
    for seed in range(200):
        level = risk.level_with_confidence(
            *draws(300, 100 + seed), error, 0.9, [400]
        )
        if level is not None:
            broken += bool(
                wrong[:, level].mean() > error * kept[:, level].mean()
            )
    assert broken <= 20
    assert level is not None


def test_hardest_images_seldom_pass():
    """Each is all right or all wrong, the error just above the promise."""
    error, passed = 0.1, 0
    for seed in range(400):
        rng = torch.Generator().manual_seed(seed)
        bad = torch.rand(60, 1, generator=rng, dtype=torch.float64) < 0.1001
        kept = torch.ones(60, risk.LEVELS, dtype=torch.float64)
        wrong = bad.double().expand(-1, risk.LEVELS)
        level = risk.level_with_confidence(kept, wrong, error, 0.9, [100, 500])
        passed += level is not None
    assert passed <= 40


def test_chain_ends_at_the_first_that_fails():
    kept = torch.ones(200, risk.LEVELS, dtype=torch.float64)
    wrong = torch.zeros_like(kept)
    wrong[:, 400:450] = 0.5
    find = risk.level_with_confidence
    assert find(kept, wrong, 0.05, 0.9, [300]) == 399
    assert find(kept, wrong, 0.05, 0.9, [420]) is None
    assert find(kept, wrong, 0.05, 0.9, [300, 460]) == risk.LEVELS - 1


@pytest.mark.parametrize('confidence', [None, 0.9])
def test_smallest_error_is_the_smallest(confidence):
    kept, wrong = draws(70, 3)
    args = (confidence, [300])
    error = risk.smallest_error(kept, wrong, *args)
    assert 0 < error < 0.2
    assert risk.find_level(kept, wrong, error, *args) is not None
    assert risk.find_level(kept, wrong, error - 0.001, *args) is None
    for promised in (error + 0.001, 0.5, 0.999):  # all that are larger
        assert risk.find_level(kept, wrong, promised, *args) is not None
    none = torch.zeros(0, risk.LEVELS, dtype=torch.float64)
    assert risk.smallest_error(none, none, *args) == 1.0
