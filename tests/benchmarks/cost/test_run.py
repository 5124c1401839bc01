"""The whole benchmark in small."""

import json

import pytest

from benchmarks.cost import scaling
from benchmarks.cost.page import as_text
from benchmarks.cost.run import benchmark


def test_small_benchmark(demo_cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(
        scaling, 'AXES', dict(size=(32, 64), classes=(2, 3), width=(8, 96))
    )
    monkeypatch.setattr(scaling, 'BASE', dict(size=32, classes=3, width=96))
    path = tmp_path / 'benchmark.json'
    path.write_text('{"peers": {"x": 1}, "runs": {"y": 2}}')
    result = benchmark(
        demo_cfg,
        gda_head=dict(transform='raw'),
        size=(96, 96),
        rounds=1,
        fit_images=2,
        device='cpu',
        json_path=path,
        plot_path=tmp_path / 'scaling.png',
    )
    written = json.loads(path.read_text())
    assert written['peers'] == {'x': 1}
    ratios, written = written['ratios'], written['runs'].pop('r50_cpu')
    assert written == json.loads(json.dumps(result))
    assert ratios['host_syncs'] == 0 < ratios['operators']
    assert ratios['r50_cpu'] == written['methods']['ddu_default']['over_plain']
    methods = written['methods']
    for row in methods.values():
        assert row['over_plain'] > 0 and row['over_ddu'] > 0
    plain = methods['plain']['gflop']
    assert methods['ensemble_3']['gflop'] == pytest.approx(3 * plain, rel=0.01)
    every = methods['ddu_every_cell']['gflop']
    assert every > methods['ddu_default']['gflop'] > plain
    fit = written['fit']
    assert fit['images'] == 2
    assert fit['ratio'] == pytest.approx(
        fit['fit_s'] / fit['evaluation_s'], rel=0.1
    )
    memory = written['memory_mib']
    assert memory['prediction'].keys() == {'plain', *memory['scoring']}
    text = as_text(written)
    assert 'ddu_every_cell' in text
    assert text.partition('\n')[0].endswith('; 96x96')
    assert (tmp_path / 'scaling.png').stat().st_size > 1000
