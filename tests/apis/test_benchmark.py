"""Measurements of known quantities, and the whole benchmark in small."""

import json

import pytest
import torch
from torch import nn

from mmseg_ddu.apis.benchmark import benchmark, scaling
from mmseg_ddu.apis.benchmark.measure import (
    flops,
    interleaved,
    peak_mib,
    ratio,
    summary,
)
from mmseg_ddu.apis.benchmark.tables import as_text

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


def test_peak_is_what_is_allocated_for_a_while():
    peak = peak_mib(lambda: torch.ones(16 << 20).sum(), CPU)
    if peak is None:
        pytest.skip('no /proc on this system')
    assert 60 < peak < 72
    assert peak_mib(lambda: None, CPU) < 4


def test_flops_of_a_convolution():
    layer = nn.Conv2d(3, 8, 5, bias=False)
    image = torch.zeros(1, 3, 14, 12)
    assert flops(lambda: layer(image)) == 2 * 8 * 3 * 25 * 10 * 8


def test_small_benchmark(demo_cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(
        scaling, 'AXES', dict(size=(32, 64), classes=(2, 3), width=(8, 96))
    )
    monkeypatch.setattr(scaling, 'BASE', dict(size=32, classes=3, width=96))
    path = tmp_path / 'benchmark.json'
    path.write_text('{"peers": {"x": 1}}')
    result = benchmark(
        demo_cfg,
        gda_head=dict(views='class-polar'),
        size=96,
        rounds=1,
        fit_images=2,
        device='cpu',
        json_path=path,
        plot_path=tmp_path / 'scaling.png',
    )
    written = json.loads(path.read_text())
    assert written['peers'] == {'x': 1}
    assert written['ratios'] == result['ratios']
    ratios = written['ratios']
    assert ratios['default_gpu'] is ratios['full_gpu'] is None
    assert all(v > 0 for k, v in ratios.items() if not k.endswith('gpu'))
    methods = written['methods']
    plain = methods['plain']['gflop']
    assert methods['ensemble_3']['gflop'] == pytest.approx(3 * plain, rel=0.01)
    assert methods['ddu_full']['gflop'] > methods['ddu_fast']['gflop'] > plain
    assert 'ddu_full' in as_text(written)
    assert (tmp_path / 'scaling.png').stat().st_size > 1000
