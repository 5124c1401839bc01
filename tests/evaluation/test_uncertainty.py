"""The metric class against scikit-learn over pooled pixels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from mmseg_ddu.evaluation import UncertaintyMetric


def image(seed, ood=True):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (12, 15))
    label[0] = 255
    mask = np.where(label == 255, 255, 0)
    mask[1:3, :5] = 1
    label = np.where(mask == 1, 255, label)
    predicted = np.where(rng.random(label.shape) < 0.8, label % 3, 1)
    wrong = predicted != label
    score = rng.normal(size=label.shape) + wrong + 2 * (mask == 1) - 900
    entropy = rng.random(label.shape) + 0.5 * (label == 2)
    arrays = dict(
        gt_sem_seg=label,
        pred_sem_seg=predicted,
        pred_epistemic=score.astype(np.float32),
        pred_aleatoric=entropy.astype(np.float32),
        pred_total=(score / 9 + entropy).astype(np.float32),
    )
    if ood:
        arrays['gt_ood_map'] = mask
    return {k: dict(data=torch.from_numpy(v)[None]) for k, v in arrays.items()}


def pooled(samples, key):
    return np.concatenate([s[key]['data'].numpy().ravel() for s in samples])


def evaluate(samples, **options):
    metric = UncertaintyMetric(**options)
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    metric.process({}, samples[:2])
    metric.process({}, samples[2:])
    return metric.evaluate(len(samples))


def test_against_scikit_learn():
    samples = [image(seed) for seed in range(4)]
    got = evaluate(samples, ambiguous_classes=('c',))
    label, mask = pooled(samples, 'gt_sem_seg'), pooled(samples, 'gt_ood_map')
    known = (label != 255) & (mask == 0)
    wrong = pooled(samples, 'pred_sem_seg') != label
    for name in ('epistemic', 'aleatoric', 'total'):
        score = pooled(samples, f'pred_{name}')
        tasks = dict(
            mis=(known, wrong),
            ood=(known | (mask == 1), mask == 1),
            amb=(known, label == 2),
        )
        for task, (chosen, positive) in tasks.items():
            truth, values = positive[chosen], score[chosen]
            key = f'uncertainty/{name}_{task}'
            assert got[f'{key}_AUROC'] == pytest.approx(
                100 * roc_auc_score(truth, values), abs=1.5
            )
            assert got[f'{key}_AUPR'] == pytest.approx(
                100 * average_precision_score(truth, values), abs=3
            )


def test_selective():
    samples = [image(seed) for seed in range(3)]
    label, mask = pooled(samples, 'gt_sem_seg'), pooled(samples, 'gt_ood_map')
    known = (label != 255) & (mask == 0)
    wrong = (pooled(samples, 'pred_sem_seg') != label)[known]
    score = pooled(samples, 'pred_epistemic')[known]

    def area(wrong):
        return np.mean(wrong.cumsum() / np.arange(1, len(wrong) + 1))

    got = evaluate(samples)
    found = area(wrong[np.argsort(score)])
    accepted = wrong[np.argsort(score)][: round(0.9 * len(score))]
    for name, expected in (
        ('share', wrong.mean()),
        ('risk90', accepted.mean()),
        ('AUGRC', np.mean(wrong[np.argsort(score)].cumsum() / len(score))),
    ):
        assert got[f'uncertainty/epistemic_mis_{name}'] == pytest.approx(
            100 * expected, abs=0.5
        )
    assert got['uncertainty/epistemic_mis_AURC'] == pytest.approx(
        100 * found, abs=0.5
    )
    assert got['uncertainty/epistemic_mis_E-AURC'] == pytest.approx(
        100 * (found - area(np.sort(wrong))), abs=0.5
    )


def test_any_score():
    sample = image(0)
    sample['pred_energy'] = sample['pred_aleatoric']
    got = evaluate([sample], scores=['pred_energy', 'pred_aleatoric'])
    assert not any('epistemic' in key for key in got)
    for name in ('mis_AUROC', 'mis_AURC', 'ood_AUPR'):
        assert (
            got[f'uncertainty/energy_{name}']
            == got[f'uncertainty/aleatoric_{name}']
        )
    with pytest.raises(KeyError, match='pred_nothing'):
        evaluate([sample], scores=['pred_nothing'])


def test_what_is_not_there_is_left_out():
    samples = [image(seed, ood=False) for seed in range(2)]
    for sample in samples:
        del sample['pred_epistemic'], sample['pred_total']
    got = evaluate(samples)
    names = ('AUROC', 'AUPR', 'FPR95', 'AURC', 'E-AURC', 'AUGRC')
    names += ('share', 'risk90')
    assert set(got) == {f'uncertainty/aleatoric_mis_{m}' for m in names}


def test_evaluating_twice_does_not_add_up():
    metric = UncertaintyMetric()
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    results = []
    for _ in range(2):
        metric.process({}, [image(0)])
        results.append(metric.evaluate(1))
    assert results[0] == results[1]
