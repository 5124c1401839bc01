"""Every metric is found, counts an image, and merges."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, roc_auc_score

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import JudgedImage, Metric
from mmseg_ddu.core.metrics.pixel_ranking import PixelRanking


def image(seed, shifted=False):
    rng = np.random.default_rng(seed)
    labels = torch.tensor(rng.integers(0, 3, (12, 15)))
    logits = torch.tensor(rng.normal(size=(3, 12, 15)))
    logits += torch.nn.functional.one_hot(labels).permute(2, 0, 1)
    strange = torch.tensor(rng.random((12, 15)) < 0.2)
    unlabelled = ~strange & torch.tensor(rng.random((12, 15)) < 0.2)
    if shifted:
        strange, unlabelled = labels >= 0, labels < 0
    labels[strange | unlabelled] = 255
    judged = JudgedImage(
        logits.argmax(0),
        labels,
        unlabelled,
        dict(ood=strange),
        logits,
        novelty=seed + 10.0 * shifted,
        novelty_percentile=0.25,
    )
    return judged, torch.tensor(rng.normal(size=(12, 15))) + strange


def names():
    assert {'ranking', 'patches', 'calibration', 'novelty'} <= set(METRIC)
    return sorted(METRIC)


@pytest.mark.parametrize('name', names())
def test_merging_is_pooling(name, tmp_path):
    kind = METRIC.find(name)
    images = [image(seed) for seed in range(3)] + [image(3, shifted=True)]
    parts = [kind() for _ in images]
    pooled = kind()
    assert isinstance(pooled, Metric) and pooled.figures() == {}
    for part, arguments in zip(parts, images):
        part.count(*arguments)
        pooled.count(*arguments)
    merged, loaded = kind(), kind()
    merged.merge(loaded)  # empty ones too
    for part in parts:
        merged.merge(part)
        torch.save(part.state_dict(), tmp_path / 'state.pth')
        state = torch.load(tmp_path / 'state.pth', weights_only=True)
        loaded.merge_state(state)
    for other in (merged, loaded):
        assert other.figures() == pytest.approx(pooled.figures())
        assert other.curves().keys() == pooled.curves().keys()
    shown = {*kind.columns, *kind.not_percent}
    assert shown <= set(pooled.figures())
    other = kind()
    other.settings = dict(another=1)
    with pytest.raises(ValueError, match='Expected counts'):
        other.merge(pooled)


def test_a_new_metric_is_one_registration():
    class Nothing(Metric):
        pass

    METRIC.register('nothing')(Nothing)
    assert METRIC.find('nothing') is Nothing
    del METRIC['nothing']
    with pytest.raises(ValueError, match='a metric to be one of'):
        METRIC.find('nothing')


def pooled(images, mask):
    return np.concatenate([np.asarray(mask(i)).ravel() for i, _ in images])


def test_questions_against_scikit_learn():
    images = [image(seed) for seed in range(4)]
    counts = PixelRanking(ambiguous=[1, 2])
    counts.groups.bits = 32
    for arguments in images:
        counts.count(*arguments)
    score = np.concatenate([s.float().numpy().ravel() for _, s in images])
    known = pooled(images, lambda i: i.known)
    strange = pooled(images, lambda i: i.strange['ood'])
    rated = known | strange | pooled(images, lambda i: i.unlabelled)
    twins = pooled(images, lambda i: (i.labels == 1) | (i.labels == 2))
    wrong = pooled(images, lambda i: i.wrong)
    got = counts.figures()
    for name, where, positive in (
        ('mis', known, wrong),
        ('ood', rated, strange),
        ('amb', known, twins),
    ):
        expected = roc_auc_score(positive[where], score[where])
        assert got[f'{name}_AUROC'] == pytest.approx(expected, abs=1e-9)
        assert got[f'{name}_share'] == pytest.approx(positive[where].mean())


def test_mean_iou_of_the_classes_that_occur():
    rng = np.random.default_rng(0)
    labels, classes = rng.choice([0, 1, 3, 5], (2, 40, 30))
    counts = METRIC.find('accuracy')()
    judged = JudgedImage(
        torch.tensor(classes), torch.tensor(labels), logits=torch.zeros(6, 1)
    )
    counts.count(judged)
    wanted = jaccard_score(labels.ravel(), classes.ravel(), average='macro')
    assert counts.figures() == dict(
        mIoU=pytest.approx(wanted),
        accuracy=pytest.approx((labels == classes).mean()),
    )


def test_novelty_of_images():
    counts = METRIC.find('novelty')()
    for seed in range(5):
        counts.count(image(seed)[0])
    assert counts.figures() == dict(percentile=0.25)
    for seed in (-9, 0):
        counts.count(image(abs(seed), shifted=True)[0])
    counts.count(JudgedImage(*[torch.zeros(2, 2)] * 2))  # no novelty
    figures = counts.figures()
    assert figures['shifted_percentile'] == 0.25
    assert figures['AUROC'] == 1
