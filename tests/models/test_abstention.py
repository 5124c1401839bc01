"""Refused pixels in predictions, and thresholds in state dicts."""

import copy

import pytest
import torch

from mmseg_ddu.models import DDUTTAModel
from mmseg_ddu.models.abstention import REFUSED
from tests.models.fitting import build, fit, noise, samples


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


def test_lost_pixels_are_refused(demo_cfg):
    model = with_thresholds(fit(build(demo_cfg)), [1e6] * 6)
    inputs = noise(1, 3, 40, 56)
    inputs[..., :8, :8] = torch.nan
    sample = model.predict(inputs, samples(inputs))[0]
    assert sample.get(REFUSED).data[0, :8, :8].all()


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
