"""What all metrics share: several processes give the figures of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

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


DISTRIBUTED = """
import json, sys
import torch
from tests.evaluation.test_counting import figures
torch.set_num_threads(1)
torch.distributed.init_process_group('gloo')
rank = torch.distributed.get_rank()
with open(f'{sys.argv[1]}/{rank}.json', 'w') as file:
    json.dump(figures(rank, 2), file)
"""


def test_two_processes_equal_one(tmp_path):
    script = tmp_path / 'run.py'
    script.write_text(DISTRIBUTED)
    root = Path(__file__).resolve().parents[2]
    command = ['torch.distributed.run', '--nproc-per-node=2']
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            *command,
            '--master-port=29519',
            str(script),
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = figures(0, 1)
    assert len(expected) > 20
    for rank in range(2):
        got = json.loads((tmp_path / f'{rank}.json').read_text())
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
