"""Measurements of known quantities."""

import torch
from torch import nn

from benchmarks.measure import flops, interleaved, ratio, summary

CPU = torch.device('cpu')


def test_methods_take_turns():
    calls = []
    functions = {name: lambda n=name: calls.append(n) for name in 'ab'}
    seconds = interleaved(functions, 2, CPU)
    assert ''.join(calls) == 'ababab'
    assert {name: len(times) for name, times in seconds.items()} == {
        'a': 2,
        'b': 2,
    }


def test_ratio_is_the_median_within_rounds():
    assert ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == 3.0
    shown = summary([3.0, 1.0, 2.0])
    assert (shown['median_s'], shown['min_s'], shown['max_s']) == (2, 1, 3)


def test_flops_of_a_convolution():
    layer = nn.Conv2d(3, 8, 5, bias=False)
    image = torch.zeros(1, 3, 14, 12)
    assert flops(lambda: layer(image)) == 2 * 8 * 3 * 25 * 10 * 8
