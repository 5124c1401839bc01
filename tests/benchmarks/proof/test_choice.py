"""The rule that chooses defaults, on figures made up by hand."""

import torch

from benchmarks.proof.choose_defaults import choose, leave_one_out
from mmseg_ddu.datasets.pasted_patches import (
    BLOCK,
    KINDS,
    paste,
    scrambled,
    textured,
)


def test_the_best_worst_rank_wins():
    networks = {
        'a': {'x': [0.9, 0.5], 'y': [0.8, 0.8], 'z': [0.7, 0.9]},
        'b': {'x': [0.9, 0.5], 'y': [0.8, 0.6], 'z': [0.7, 0.7]},
    }
    assert choose(networks) == 'y'  # never the last


def test_equal_worst_ranks_fall_back_on_the_mean_then_on_the_order():
    tie = {'a': {'x': [0.9, 0.5], 'y': [0.5, 0.9]}}
    assert choose(tie) == 'x'
    mean = {'a': {'x': [0.9, 0.5, 0.5], 'y': [0.5, 0.9, 0.9]}}
    assert choose(mean) == 'y'


def test_a_network_has_no_say_in_its_own_choice():
    answers = {
        'a': {'stride': {'1': [0.9], '2': [0.1]}},
        'b': {'stride': {'1': [0.2], '2': [0.3]}},
    }
    chosen = leave_one_out(answers)['stride']
    assert chosen == {'a': '2', 'b': '1', 'none': '1'}


def test_a_pasted_square_changes_nothing_else():
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(3, 40, 50, dtype=torch.uint8)
    other = torch.randint(1, 128, (3, 36, 70)).to(torch.uint8)
    pasted, mask = paste(image, other, generator)
    assert pasted.dtype == torch.uint8
    assert torch.equal((pasted > 0).all(0), mask)
    assert mask.sum() == 12**2
    assert torch.equal(image, torch.zeros_like(image))


def test_changes_keep_the_shape_and_scrambling_the_pixels():
    patch = torch.randint(0, 256, (3, 3 * BLOCK, 3 * BLOCK)).to(torch.uint8)
    generator = torch.Generator().manual_seed(1)
    for change in (*KINDS, textured):
        assert change(patch, generator).shape == patch.shape
    moved = scrambled(patch, generator)
    assert not torch.equal(moved, patch)
    assert torch.equal(
        moved.flatten(1).sort().values, patch.flatten(1).sort().values
    )
