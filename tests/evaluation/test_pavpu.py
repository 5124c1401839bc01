"""The metric class against loops over windows."""

import numpy as np
import pytest
import torch

from mmseg_ddu.evaluation import PAvPUMetric
from tests.core.metrics.test_patches import loop_trio, loop_windows
from tests.evaluation.test_uncertainty import image


@pytest.mark.parametrize('void_inaccurate', [False, True])
def test_against_loops(void_inaccurate):
    samples = [image(seed) for seed in range(4)]
    settings = dict(size=3, accuracy=0.7, void_inaccurate=void_inaccurate)
    metric = PAvPUMetric(percentiles=[30], **settings)
    metric.process({}, samples)
    got = metric.evaluate(len(samples))
    parts = []
    for sample in samples:
        data = {k: v['data'][0].numpy() for k, v in sample.items()}
        label = data['gt_sem_seg']
        parts.append(
            loop_windows(
                data['pred_aleatoric'],
                data['pred_sem_seg'] == label,
                (label != 255) & (data['gt_ood_map'] == 0),
                **settings,
            )
        )
    means, accurate = (np.concatenate(column) for column in zip(*parts))
    ordered = np.sort(means)
    curves = [
        loop_trio(means, accurate, ordered[p * (len(means) - 1) // 100])
        for p in range(1, 101)
    ]
    names = ('p_accurate_certain', 'p_uncertain_inaccurate', 'PAvPU')
    for i, name in enumerate(names):
        mean = 100 * np.mean([curve[i] for curve in curves])
        key = f'pavpu/aleatoric_{name}'
        # The grid puts near windows together.
        assert got[key] == pytest.approx(mean, abs=1)
        assert got[f'{key}@30'] == pytest.approx(100 * curves[29][i], abs=2)
    assert len(metric.merged['epistemic'].windows.keys)


def test_wrong_settings_are_an_error_at_once():
    with pytest.raises(ValueError, match='size'):
        PAvPUMetric(size=0)


def test_nothing_labelled():
    sample = image(0)
    sample['gt_sem_seg']['data'] = torch.full((1, 12, 15), 255)
    metric = PAvPUMetric()
    metric.process({}, [sample])
    assert metric.evaluate(1) == {}
