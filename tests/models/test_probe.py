"""Channels of taps, found by running the network."""

import pytest
import torch
from mmengine.config import Config

from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.registry import MODELS


def build(cfg, views):
    model = to_ddu_model(cfg.model, dict(views=views))
    return MODELS.build(model)


def test_default_views_find_the_stages(demo_cfg):
    model = (
        MODELS.build(Config.fromfile(demo_cfg).model)
        if isinstance(demo_cfg, str)
        else MODELS.build(demo_cfg.model)
    )
    assert model.training
    taps = {view.tap: view.channels for view in model.gda_head.views}
    stages = model.backbone(torch.zeros(2, 3, 96, 96))
    assert taps['backbone[0]'] == stages[0].shape[1]
    assert taps['backbone[1]'] == stages[1].shape[1]
    assert taps['logits'] == 6


def test_probing_leaves_the_network_alone(plain_cfg):
    torch.manual_seed(0)
    plain = MODELS.build(plain_cfg.model).state_dict()
    torch.manual_seed(0)
    model = build(plain_cfg, 'multi-scale')
    for key, value in plain.items():
        torch.testing.assert_close(model.state_dict()[key], value)


def test_several_outputs_need_a_number(plain_cfg):
    with pytest.raises(ValueError, match='one tensor'):
        build(plain_cfg, [dict(tap='backbone')])
    with pytest.raises(ValueError, match='no output'):
        build(plain_cfg, [dict(tap='backbone[7]')])
    model = build(plain_cfg, [dict(tap='backbone[-1]')])
    assert (
        model.gda_head.views[0].channels
        == model.backbone(torch.zeros(2, 3, 96, 96))[-1].shape[1]
    )


def test_optional_views_are_left_out(plain_cfg):
    model = build(
        plain_cfg,
        [
            dict(tap='penultimate'),
            dict(tap='backbone[9]', transform='style', optional=True),
        ],
    )
    assert model.gda_head.taps == ['penultimate']
