"""The metric class against sets of pixels and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import precision_recall_curve

from mmseg_ddu.evaluation import ComponentMetric
from tests.core.metrics.test_connected_components import by_sets, label

SIZES = dict(min_predicted=6, min_truth=4)


def image(seed, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    ood = (field > np.quantile(field, 0.85)).astype(np.int64)
    ood[:, 20:22] = 255
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    score = (field + 0.4 * noise).astype(np.float32) * 20 - 900
    score[:, 20:22] = np.nan  # nobody looks at void
    arrays = dict(gt_ood_map=ood, pred_epistemic=score)
    return {k: dict(data=torch.from_numpy(v)[None]) for k, v in arrays.items()}


def evaluate(samples, **options):
    metric = ComponentMetric(**SIZES, **options)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def expected(samples, threshold):
    siou, ppv = [], []
    for sample in samples:
        score = sample['pred_epistemic']['data'][0].numpy()
        ood = sample['gt_ood_map']['data'][0].numpy()
        known = ood != 255
        one, other = by_sets(
            label((score >= threshold) & known),
            label(ood == 1),
            known,
            *SIZES.values(),
        )
        siou += one
        ppv += other
    return 100 * np.mean(siou), 100 * np.mean(ppv)


def test_given_threshold():
    samples = [image(seed) for seed in range(3)]
    for threshold in (-896.0, dict(epistemic=-896.0)):
        got = evaluate(samples, threshold=threshold)
        siou, ppv = expected(samples, -896.0)
        assert got['components/epistemic_sIoU'] == pytest.approx(siou, abs=0.1)
        assert got['components/epistemic_PPV'] == pytest.approx(ppv, abs=0.1)
        assert 0 < got['components/epistemic_F1'] < 100
        assert 'components/epistemic_threshold' not in got


def test_threshold_with_the_best_f1():
    samples = [image(seed) for seed in range(3)]
    got = evaluate(samples)
    pair = ('gt_ood_map', 'pred_epistemic')
    ood, score = (
        np.concatenate([s[key]['data'].numpy().ravel() for s in samples])
        for key in pair
    )
    known = ood != 255
    precision, recall, _ = precision_recall_curve(ood[known], score[known])
    f1 = 2 * precision * recall / (precision + recall)
    assert got['components/epistemic_pixel_F1'] == pytest.approx(
        100 * f1.max(), abs=0.5
    )
    siou, ppv = expected(samples, got['components/epistemic_threshold'])
    assert got['components/epistemic_sIoU'] == pytest.approx(siou, abs=0.01)
    assert got['components/epistemic_PPV'] == pytest.approx(ppv, abs=0.01)


def test_evaluating_twice_does_not_add_up():
    metric = ComponentMetric(**SIZES)
    results = []
    for _ in range(2):
        metric.process({}, [image(0)])
        results.append(metric.evaluate(1))
    assert results[0] == results[1]


def test_without_objects_or_masks():
    sample = image(0)
    sample['gt_ood_map']['data'].zero_()
    sample['pred_epistemic']['data'].nan_to_num_()
    assert evaluate([sample]) == {}
    del sample['gt_ood_map']
    with pytest.raises(KeyError, match='LoadOoDAnnotations'):
        evaluate([sample])
