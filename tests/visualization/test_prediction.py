"""Which maps there are, their scales, and what pictures say of them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_ddu.visualization.prediction import (
    is_lost,
    map_scales,
    sample_maps,
    sample_novelty,
    surprise,
)
from tests.stand_in import StandIn


def test_scales_of_sampled_models_are_those_of_entropy():
    scales = map_scales(StandIn(sampled=True))
    assert list(scales) == ['aleatoric', 'epistemic', 'total']
    for scale in scales.values():
        assert (scale.low, scale.high) == (0, pytest.approx(math.log(4)))
        assert scale.unit == 'nats'


def test_scales_of_fitted_models_are_their_ranges():
    model = StandIn(extra_heads=['knn'])
    scales = map_scales(model)
    plain = [name for name in scales if not name.endswith('_percentile')]
    assert plain == ['aleatoric', 'epistemic', 'total', 'epistemic_knn']
    assert len(scales) == 2 * len(plain)
    assert (scales['total'].low, scales['total'].high) == (0, 8)
    assert scales['total'].unit == 'nats of surprise'
    assert scales['epistemic_knn_percentile'].high == 1
    # Of several processes, with augmentations.
    wrapped = SimpleNamespace(module=SimpleNamespace(module=model))
    assert map_scales(wrapped) == scales


def test_without_densities_there_is_one_scale():
    model = StandIn()
    model.gda_head.fitted.fill_(False)
    assert set(map_scales(model)) == {'aleatoric'}


def test_maps_of_a_sample_in_their_order():
    sample = SegDataSample(metainfo=dict(image_novelty=2, img_path='a'))
    names = ['total', 'epistemic_knn', 'sem_seg', 'epistemic', 'aleatoric']
    for value, name in enumerate(names):
        data = torch.full((1, 2, 3), float(value))
        sample.set_data({f'pred_{name}': PixelData(data=data)})
    sample.gt_sem_seg = PixelData(data=data)
    maps = sample_maps(sample)
    assert list(maps) == ['aleatoric', 'epistemic', 'total', 'epistemic_knn']
    assert (maps['total'] == 0).all() and maps['total'].shape == (2, 3)
    assert sample_novelty(sample) == {'image_novelty': 2.0}


def test_surprise_is_the_power_of_ten_of_the_share_above():
    share = np.array([0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1], np.float32)
    expected = [0, math.log10(2), 1, 2, 3, 4, 4]
    np.testing.assert_allclose(surprise(share), expected, atol=2e-3)


def test_what_is_lost():
    worst = np.float32(1e30)
    values = np.array([1e9, worst, worst / 2, np.nan, np.inf, -np.inf, -3])
    expected = [False, True, True, True, True, False, False]
    assert is_lost(values).tolist() == expected
