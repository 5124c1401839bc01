"""What all metrics share: several processes give the figures of one."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from mmseg_ddu.evaluation import (
    CalibrationMetric,
    ComponentMetric,
    PAvPUMetric,
    UncertaintyMetric,
)
from mmseg_ddu.evaluation.spool import ArraySpool
from tests.evaluation.test_uncertainty_metric import image


def figures(rank, size):
    """Every metric over the images of one of several ranks."""
    metrics = [
        UncertaintyMetric(),
        CalibrationMetric(),
        PAvPUMetric(size=2),
        ComponentMetric(min_predicted=2, min_truth=1),
    ]
    samples = [image(seed) for seed in range(6)]
    for sample in samples:
        logits = torch.nn.functional.one_hot(sample['pred_sem_seg']['data'][0])
        noise = sample['pred_aleatoric']['data']
        sample['seg_logits'] = dict(data=logits.permute(2, 0, 1) + noise)
    got = {}
    for metric in metrics:
        metric.process({}, samples[rank::size])
        got.update(metric.evaluate(len(samples)))
    return got


SECOND = """
import sys
from tests.evaluation.test_counting import figures, join
join(1, sys.argv[1])
figures(1, 2)
"""


def join(rank, file):
    dist.init_process_group(
        'gloo',
        init_method=f'file://{file}',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )


def test_two_processes_equal_one(tmp_path):
    """This process is the first."""
    expected = figures(0, 1)
    assert len(expected) > 20
    root = Path(__file__).resolve().parents[2]
    second = subprocess.Popen(
        [sys.executable, '-c', SECOND, str(tmp_path / 'meet')],
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'},
    )
    try:
        join(0, tmp_path / 'meet')
        got = figures(0, 2)
        assert second.wait(120) == 0
    finally:
        second.kill()
        if dist.is_initialized():
            dist.destroy_process_group()
    assert got == pytest.approx(expected)


def test_spool_returns_what_it_was_given():
    rng = np.random.default_rng(0)
    pairs = [
        (rng.random((3, n), np.float32), rng.integers(9, size=(n, 2)))
        for n in (1, 5, 4)
    ]
    spool = ArraySpool()
    for pair in pairs:
        spool.append(*pair)
    assert len(spool) == 3
    for _ in range(2):
        for got, pair in zip(spool, pairs, strict=True):
            assert all(map(np.array_equal, got, pair))
    spool.close()
