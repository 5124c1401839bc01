"""The metric class against numpy over pooled pixels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from mmseg_ddu.evaluation import CalibrationMetric
from tests.core.metrics.test_calibration_error import loop_ece, softmax


def image(seed):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(4, 9, 11))
    label = np.where(rng.random((9, 11)) < 0.6, logits.argmax(0), 1)
    label[0] = 255
    ood = np.zeros_like(label)
    ood[:, 0] = 1
    arrays = dict(
        seg_logits=logits,
        pred_sem_seg=logits.argmax(0)[None],
        gt_sem_seg=label[None],
        gt_ood_map=ood[None],
    )
    return {k: dict(data=torch.from_numpy(v)) for k, v in arrays.items()}


def evaluate(samples, **options):
    metric = CalibrationMetric(**options)
    metric.process({}, samples[:1])
    metric.process({}, samples[1:])
    return metric, metric.evaluate(len(samples))


def test_against_numpy():
    samples = [image(seed) for seed in range(3)]
    probs, target = [], []
    for sample in samples:
        data = {k: v['data'].numpy() for k, v in sample.items()}
        known = (data['gt_sem_seg'][0] != 255) & (data['gt_ood_map'][0] == 0)
        probs.append(softmax(data['seg_logits'].transpose(1, 2, 0)[known]))
        target.append(data['gt_sem_seg'][0][known])
    probs, target = np.concatenate(probs), np.concatenate(target)
    metric, got = evaluate(samples, n_bins=10)
    assert set(got) == {
        f'calibration/{name}' for name in ('ECE', 'aECE', 'NLL', 'Brier')
    }
    assert got['calibration/ECE'] == pytest.approx(
        100 * loop_ece(probs, target, 10), abs=0.006
    )
    assert got['calibration/NLL'] == pytest.approx(
        log_loss(target, probs, labels=range(4)), abs=1e-4
    )
    brier = ((probs - np.eye(4)[target]) ** 2).sum(1).mean()
    assert got['calibration/Brier'] == pytest.approx(brier, abs=1e-4)
    assert metric.merged[''].num_pixels == len(target)
    assert metric.counts == {}


def test_single_channel_holds_probabilities():
    """mmseg applies the sigmoid of binary heads itself."""
    sample = image(0)
    probability = torch.rand(1, 9, 11)
    sample['seg_logits'] = dict(data=probability)
    label = sample['gt_sem_seg']['data']
    label[label != 255] %= 2
    del sample['gt_ood_map']
    _, got = evaluate([sample])
    known = label != 255
    expected = torch.nn.functional.binary_cross_entropy(
        probability[known], label[known].float()
    )
    assert got['calibration/NLL'] == pytest.approx(float(expected), abs=1e-4)


def test_nothing_labelled():
    sample = image(0)
    sample['gt_sem_seg']['data'].fill_(255)
    assert evaluate([sample])[1] == {}
