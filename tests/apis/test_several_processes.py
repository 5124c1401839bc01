"""tools/test.py of several processes: the figures of one, and no hang."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis import test as run_test
from tests.processes import run_ranks

METRICS = [
    dict(type='IoUMetric', iou_metrics=['mIoU']),
    dict(type='mmseg_ddu.UncertaintyMetric'),
    dict(type='mmseg_ddu.CalibrationMetric'),
    dict(type='mmseg_ddu.PAvPUMetric'),
]


@pytest.fixture
def test_of_ranks(plain_cfg, checkpoint, tmp_path, monkeypatch):
    """Call it with a number of processes; the metrics of each."""
    monkeypatch.chdir(tmp_path)  # mmengine collects results there
    fitted = fit_gda(plain_cfg, checkpoint)
    plain_cfg.test_evaluator = METRICS

    def call(world):
        def one():
            launcher = 'none' if world == 1 else 'pytorch'
            folder = tmp_path / f'work{world}'
            return run_test(
                plain_cfg, fitted, work_dir=folder, launcher=launcher
            )

        return run_ranks(world, one)

    return call


def test_uneven_number_of_images(test_of_ranks):
    """4 images for 3 processes: the sampler shows two images twice."""
    (expected,) = test_of_ranks(1)
    assert {'mIoU', 'uncertainty/epistemic_mis_AUROC'} <= set(expected)
    for got in test_of_ranks(3):
        assert got == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_error_of_one_process_ends_all(
    test_of_ranks, plain_cfg, sample_root, tmp_path
):
    """The label of the second image does not have its size."""
    root = tmp_path / 'copy'
    shutil.copytree(sample_root, root)
    (first, second) = sorted((root / 'SegmentationClass').glob('test*'))[:2]
    assert os.path.samefile(first.parent, second.parent)
    Image.fromarray(np.zeros((7, 7), np.uint8)).save(second)
    plain_cfg.test_dataloader.dataset.data_root = str(root)
    well, failed = test_of_ranks(2)
    assert isinstance(failed, Exception) and isinstance(well, Exception)
    assert '7' in str(failed)
