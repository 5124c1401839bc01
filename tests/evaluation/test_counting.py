"""What all metrics share: several processes give the figures of one."""

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank

from mmseg_ddu.evaluation import (
    CalibrationMetric,
    ComponentMetric,
    CountedMetric,
    PAvPUMetric,
    UncertaintyMetric,
)
from mmseg_ddu.evaluation.counting import last_is_copy
from tests.evaluation.test_uncertainty import image
from tests.processes import run_ranks


def figures(images, split=None):
    """Every metric, over the images that the sampler gives this process."""
    metrics = [
        UncertaintyMetric(),
        CalibrationMetric(),
        PAvPUMetric(size=2),
        CountedMetric('novelty'),
        ComponentMetric(min_predicted=2, min_truth=1),
        ComponentMetric(
            dict(epistemic=-898.0, aleatoric=0.5, total=-99.0),
            min_predicted=2,
            min_truth=1,
            prefix='cut',
        ),
    ]
    samples = [image(seed) for seed in range(images)]
    for sample in samples:
        logits = torch.nn.functional.one_hot(sample['pred_sem_seg']['data'][0])
        noise = sample['pred_aleatoric']['data']
        sample['seg_logits'] = dict(data=logits.permute(2, 0, 1) + noise)
        sample['image_novelty'] = torch.tensor(float(noise.mean()))
        sample['image_novelty_percentile'] = float(noise.max())
    chosen = DefaultSampler(samples, shuffle=False)
    if split:
        chosen = split[get_rank()]
    got = {}
    for metric in metrics:
        for index in chosen:
            metric.process({}, [samples[index]])
        got.update(metric.evaluate(len(samples)))
    return got


@pytest.mark.parametrize('images, world', [(5, 2), (6, 2), (7, 3), (2, 4)])
def test_several_processes_equal_one(images, world):
    """Of images that do not divide, the sampler shows some twice."""
    expected = figures(images)
    assert len(expected) > 20
    shown = run_ranks(world, lambda: len(DefaultSampler(range(images))))
    assert sum(shown) == -(-images // world) * world
    for got in run_ranks(world, figures, images):
        assert got == pytest.approx(expected, nan_ok=True)


def test_images_that_are_dealt_out_otherwise():
    """Nobody shows an image twice, so none is left out."""
    metric_of_each = run_ranks(2, figures, 4, [[0], [1, 2, 3]])
    for got in metric_of_each:
        assert got == pytest.approx(figures(4), nan_ok=True)


def test_last_is_copy():
    assert not last_is_copy(0, [3], 3)
    assert [last_is_copy(r, [3, 3, 3], 7) for r in range(3)] == [0, 1, 1]
    assert [last_is_copy(r, [1, 1, 1], 1) for r in range(3)] == [0, 1, 1]
    assert [last_is_copy(r, [4, 3], 7) for r in range(2)] == [0, 0]
