"""Refused pixels in predictions, and thresholds in state dicts."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData

from mmseg_ddu.apis.promise import what_is_kept
from mmseg_ddu.core.metrics.abstained import AbstentionCounts
from mmseg_ddu.core.metrics.metric import JudgedImage
from mmseg_ddu.core.risk_control import count_errors, thresholds
from mmseg_ddu.models import DDUTTAModel
from mmseg_ddu.models.abstention import REFUSED, Abstention
from tests.models.fitting import build, fit, noise, samples

# The network sees all of a window, so one lost pixel loses it.
WINDOWS = ConfigDict(mode='slide', crop_size=(32, 32), stride=(24, 24))


def with_thresholds(model, thresholds):
    state = model.state_dict()
    assert not any(key.startswith('abstention') for key in state)
    state['abstention.thresholds'] = torch.tensor(thresholds)
    model.load_state_dict(state)
    return model


def test_each_class_has_its_threshold(demo_cfg):
    model = fit(build(demo_cfg))
    inputs = noise(2, 3, 40, 56)
    before = model.predict(inputs, samples(inputs))
    limits = [0.5, 1.0, -1.0, torch.inf, 2.0, 0.0]
    model = with_thresholds(model, limits)
    for old, new in zip(before, model.predict(inputs, samples(inputs))):
        assert REFUSED not in old
        classes = new.pred_sem_seg.data
        assert torch.equal(classes, old.pred_sem_seg.data)
        assert torch.equal(new.pred_total.data, old.pred_total.data)
        refused = new.get(REFUSED).data
        assert refused.dtype == torch.bool
        for y in range(0, 40, 7):
            for x in range(0, 56, 7):
                limit = limits[int(classes[0, y, x])]
                wanted = float(new.pred_total.data[0, y, x]) > limit
                assert bool(refused[0, y, x]) == wanted


@pytest.mark.parametrize('limit', [1e6, float(thresholds()[-1]), torch.inf])
def test_lost_pixels_are_refused_and_counted_so(demo_cfg, limit):
    """In predictions, by the fit of thresholds, and in a test."""
    model = build(demo_cfg, test_cfg=WINDOWS)
    model = with_thresholds(fit(model), [limit] * 6)
    inputs = noise(1, 3, 40, 56)
    inputs[..., :8, :8] = torch.nan
    sample = model.predict(inputs, samples(inputs))[0]
    refused = sample.get(REFUSED).data[0]
    assert refused[:8, :8].all() and not refused.all()
    classes = sample.pred_sem_seg.data[0]
    counts = AbstentionCounts()
    counts.count(JudgedImage(classes, classes % 3, refused=refused))
    rows = count_errors(sample.pred_total.data[0], classes, classes % 3, 255)
    told = what_is_kept([rows], model.abstention.thresholds)
    for name, value in counts.figures().items():
        ours = told['error_before' if name == 'error' else name]
        assert value == pytest.approx(ours)
    assert told['coverage'] == pytest.approx(float((~refused).float().mean()))


def test_no_number_is_no_answer():
    part = Abstention(2)
    part.thresholds.fill_(torch.inf)
    total = torch.tensor([1.0, torch.nan, torch.inf, 1e30, 0.0])
    refused = part(total, torch.tensor([0, 0, 1, 1, 1]))
    assert refused.tolist() == [False, True, True, True, False]


def test_lost_in_one_augmentation_is_lost(demo_cfg):
    model = build(demo_cfg, test_cfg=WINDOWS)
    model = with_thresholds(fit(model), [torch.inf] * 6)
    inputs = noise(1, 3, 40, 56)
    spoiled = inputs.clone()
    spoiled[..., :8, :8] = torch.nan
    parts = [model.predict(x, samples(x)) for x in (inputs, spoiled)]
    with pytest.warns(UserWarning, match='without augmentations'):
        (merged,) = DDUTTAModel(module=model).merge_preds(
            [[part[0] for part in parts]]
        )
    refused = merged.get(REFUSED).data[0]
    assert refused[:8, :8].all() and not refused.all()


def test_training_forgets_thresholds_and_densities(demo_cfg):
    model = with_thresholds(fit(build(demo_cfg)), [1.0] * 6)
    inputs = noise(2, 3, 48, 48)
    batch = samples(inputs)
    for sample in batch:
        labels = torch.zeros(1, 48, 48, dtype=torch.long)
        sample.gt_sem_seg = PixelData(data=labels)
    model.loss(inputs, batch)  # not in training
    assert model.abstention.ready and model.gda_head.ready
    model.train().loss(inputs, batch)
    assert not model.abstention.ready and not model.gda_head.ready
    state = model.state_dict()
    assert 'abstention.thresholds' not in state
    assert not state['gda_head.fitted']


def test_state_comes_and_goes(demo_cfg):
    model = with_thresholds(fit(build(demo_cfg)), [1.0] * 6)
    state = copy.deepcopy(model.state_dict())
    other = build(demo_cfg)
    other.load_state_dict(state)
    assert other.abstention.ready
    assert other.abstention.thresholds.tolist() == [1.0] * 6
    del state['abstention.thresholds']
    result = other.load_state_dict(state, strict=True)
    assert not result.missing_keys and not other.abstention.ready


@pytest.mark.parametrize('thresholds', [[1.0] * 5, [float('nan')] * 6])
def test_thresholds_of_another_network_are_refused(demo_cfg, thresholds):
    with pytest.raises(ValueError, match='thresholds of an abstention'):
        with_thresholds(fit(build(demo_cfg)), thresholds)


def test_half_precision_keeps_thresholds(demo_cfg):
    model = with_thresholds(fit(build(demo_cfg)), [1.001] * 6).half()
    assert model.abstention.thresholds.dtype == torch.float32


def test_merged_augmentations_are_refused_by_their_means(demo_cfg):
    model = with_thresholds(fit(build(demo_cfg)), [0.8] * 6)
    tta = DDUTTAModel(module=model)
    images = noise(1, 3, 40, 56), noise(1, 3, 40, 56, seed=1)
    parts = [model.predict(image, samples(image)) for image in images]
    with pytest.warns(UserWarning, match='without augmentations'):
        (merged,) = tta.merge_preds([[part[0] for part in parts]])
    mean = sum(part[0].pred_total.data for part in parts) / 2
    torch.testing.assert_close(merged.pred_total.data, mean)
    assert torch.equal(merged.get(REFUSED).data, mean > 0.8)
