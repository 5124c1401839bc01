"""Channels of taps, found by running the network."""

import pytest
import torch

from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.registry import MODELS


def build(cfg, **head):
    return MODELS.build(to_ddu_model(cfg.model, head))


def test_stages_are_found_and_the_network_is_left_alone(plain_cfg):
    torch.manual_seed(0)
    plain = MODELS.build(plain_cfg.model).state_dict()
    torch.manual_seed(0)
    model = build(plain_cfg, tap='backbone[0]')
    assert model.training
    stages = model.backbone(torch.zeros(2, 3, 96, 96))
    assert model.gda_head.channels == stages[0].shape[1]
    torch.manual_seed(0)
    again = build(plain_cfg, tap='backbone[-1]').state_dict()
    for key, value in plain.items():
        torch.testing.assert_close(again[key], value)


def test_several_outputs_need_a_number(plain_cfg):
    with pytest.raises(ValueError, match='one tensor'):
        build(plain_cfg, tap='backbone')
    with pytest.raises(ValueError, match='no output'):
        build(plain_cfg, tap='backbone[7]')
    with pytest.raises(ValueError, match='layer4'):
        build(plain_cfg, tap='backbone.layer9')


@pytest.mark.parametrize('channels', [1, 2, 4, 6])
def test_any_number_of_input_channels(plain_cfg, channels):
    plain_cfg.model.backbone.in_channels = channels
    plain_cfg.model.data_preprocessor = dict(type='SegDataPreProcessor')
    model = build(plain_cfg, tap='decode_head.bottleneck')
    assert model.image_novelty.channels == channels
    assert model.gda_head.channels == 12
