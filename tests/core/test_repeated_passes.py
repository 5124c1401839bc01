"""Dropout switching and prefix replay against full forward passes."""

import torch
from torch import nn

from mmseg_ddu.core import RepeatedPasses, active_dropout, dropout_modules


class Counting(nn.Module):
    """A linear layer that counts its calls."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


class Net(nn.Module):
    """Shared module, in-place residual, dropout in the middle."""

    def __init__(self):
        super().__init__()
        self.stem, self.shared = Counting(), Counting()
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Dropout(0.0)
        self.tail = Counting()

    def forward(self, x):
        y = self.shared(self.stem(x))
        y += x  # changes the output of `shared` in place
        y = self.relu(self.norm(y))
        y = self.drop(y)
        y += x
        return self.tail(self.shared(y))


def passes(net, x, count, replay):
    torch.manual_seed(0)
    results = []
    with active_dropout(net) as modules:
        if not replay:
            return [net(x) for _ in range(count)]
        prefix = RepeatedPasses(net, modules)
        with prefix.first_pass():
            results.append(net(x))
        for _ in range(count - 1):
            with prefix.further_pass():
                results.append(net(x))
    return results


def test_replay_gives_what_full_passes_give():
    net = Net().eval()
    x = torch.randn(4, 6)
    with torch.no_grad():
        expected = passes(net, x, 4, replay=False)
        net.stem.calls = net.tail.calls = 0
        got = passes(net, x, 4, replay=True)
    for a, b in zip(expected, got):
        assert torch.equal(a, b)
    assert not torch.equal(got[0], got[1])
    assert net.stem.calls == 1
    assert net.tail.calls == 4
    assert 'forward' not in net.stem.__dict__


def test_again_with_other_inputs():
    net = nn.Sequential(Counting(), nn.Dropout()).eval()
    prefix = RepeatedPasses(net, [])
    for x in torch.randn(2, 4, 6):
        with prefix.first_pass():
            expected = net(x)
        with prefix.further_pass():
            assert torch.equal(net(x), expected)
    assert net[0].calls == 2


def test_replay_in_inference_mode():
    net = Net().eval()
    net.shared = Counting()
    x = torch.randn(4, 6)
    with torch.inference_mode():
        got = passes(net, x, 3, replay=True)
    assert net.stem.calls == 1
    assert not torch.equal(got[1], got[2])


def test_without_active_dropout_everything_is_replayed():
    net = nn.Sequential(Counting(), Counting()).eval()
    x = torch.randn(4, 6)
    first, second = passes(net, x, 2, replay=True)
    assert torch.equal(first, second)
    assert net[0].calls == net[1].calls == 1


def test_only_dropout_is_stochastic_and_only_inside():
    net = Net().eval()
    assert dropout_modules(net) == [net.drop]
    with active_dropout(net) as modules:
        assert modules == [net.drop]
        assert net.drop.training
        assert not net.norm.training and not net.unused.training
    assert not net.drop.training
    before = net.norm.running_mean.clone()
    passes(net, torch.randn(4, 6), 3, replay=True)
    assert torch.equal(net.norm.running_mean, before)


def test_state_is_restored_after_an_error():
    net = Net().eval()
    prefix = RepeatedPasses(net, [net.drop])
    with prefix.first_pass():
        net(torch.randn(4, 6))
    try:
        with prefix.further_pass():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert 'forward' not in net.stem.__dict__
    assert not net.stem._forward_hooks
