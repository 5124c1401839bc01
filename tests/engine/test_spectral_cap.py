"""Norms of convolutions in training."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_ddu.core.operator_norm import OperatorNorm
from mmseg_ddu.engine.spectral_cap import SpectralCapHook


def norms(model):
    return [
        float(OperatorNorm(m.weight, m.groups).estimate(m.weight, 300))
        for m in model.modules()
        if isinstance(m, nn.Conv2d)
    ]


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, dilation=2),
    )
    model.head = nn.Conv2d(8, 4, 1)
    with torch.no_grad():
        model.backbone[0].weight.mul_(20)
        model.head.weight.mul_(20)
    return model


def test_what_is_above_is_scaled_and_nothing_else(network):
    small = network.backbone[2].weight.clone()
    head = network.head.weight.clone()
    assert norms(network)[0] > 10 > norms(network)[1]
    SpectralCapHook(2.0).before_train(SimpleNamespace(model=network))
    assert norms(network)[0] == pytest.approx(2.0, rel=0.02)
    assert torch.equal(network.backbone[2].weight, small)
    assert torch.equal(network.head.weight, head)


def test_it_holds_through_training_steps(network):
    hook = SpectralCapHook(2.0)
    runner = SimpleNamespace(model=network)
    hook.before_train(runner)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for step in range(40):
        image = torch.randn(2, 3, 17, 17)
        loss = -network.backbone(image).square().mean()  # wants to grow
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hook.after_train_iter(runner, step)
    assert max(norms(network.backbone)) < 2.1


def test_a_part_without_convolutions(network):
    network.backbone = nn.Linear(3, 3)
    with pytest.raises(ValueError, match='no convolution in backbone'):
        SpectralCapHook(2.0).before_train(SimpleNamespace(model=network))


@pytest.mark.parametrize('wrong', [dict(coefficient=0), dict(steps=0)])
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match='positive'):
        SpectralCapHook(**{'coefficient': 3.0, **wrong})
