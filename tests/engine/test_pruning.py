"""Pruning at initialisation: the scores, the masks, a training."""

import copy

import pytest
import torch
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmseg_ddu.apis import train
from mmseg_ddu.engine.pruning import (
    ProsPrHook,
    best_weights,
    meta_gradients,
    prunable_weights,
)
from mmseg_ddu.registry import MODELS


def network_loss(image, target):
    """Of two layers, with a hidden tanh."""

    def loss(weights):
        hidden = torch.tanh(image @ weights['a'].T)
        return (hidden @ weights['b'].T - target).square().mean()

    return loss


def test_meta_gradients_are_those_of_differences_in_float64():
    rng = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    weights = dict(a=nn.Parameter(drawn(4, 3)), b=nn.Parameter(drawn(2, 4)))
    losses = [network_loss(drawn(5, 3), drawn(5, 2)) for _ in range(4)]
    found = meta_gradients(weights, losses, lr=0.1, momentum=0.9)

    def after(masks):
        """Masked weights after three steps, written out."""
        base = {k: w.detach().clone() for k, w in weights.items()}
        speed = {k: torch.zeros_like(w) for k, w in base.items()}
        for loss in losses[:3]:
            for w in base.values():
                w.requires_grad_(True)
            masked = {k: masks[k] * w for k, w in base.items()}
            slopes = torch.autograd.grad(loss(masked), list(base.values()))
            base = {k: w.detach() for k, w in base.items()}
            for k, slope in zip(base, slopes):
                speed[k] = 0.9 * speed[k] + slope
                base[k] = base[k] - 0.1 * speed[k]
        return float(losses[3]({k: masks[k] * w for k, w in base.items()}))

    for name, where in (('a', (1, 2)), ('a', (3, 0)), ('b', (0, 1))):
        values = []
        for step in (1e-5, -1e-5):
            masks = {k: torch.ones_like(w) for k, w in weights.items()}
            masks[name][where] += step
            values.append(after(masks))
        wanted = abs(values[0] - values[1]) / 2e-5
        assert float(found[name][where]) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize('sparsity', [0.9, 0.95, 0.98])
def test_sparsity_is_exact_and_no_layer_is_empty(sparsity):
    rng = torch.Generator().manual_seed(0)
    scores = dict(
        large=torch.rand(40, 25, generator=rng),
        small=torch.rand(10, 50, generator=rng) * 1e-6,
    )
    masks = best_weights(scores, sparsity)
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == round(1500 * (1 - sparsity))
    assert masks['small'].sum() == 1
    assert masks['small'][scores['small'] == scores['small'].max()].all()
    lowest = scores['large'][masks['large']].min()
    assert (scores['large'][~masks['large']] <= lowest).all()


def test_a_training_keeps_its_zeros(plain_cfg, tmp_path):
    cfg = copy.deepcopy(plain_cfg)
    cfg.train_cfg.update(max_iters=2, val_interval=10)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    hook = dict(type='mmseg_ddu.ProsPrHook', sparsity=0.9, lr=0.05)
    cfg.custom_hooks = [hook]
    train(cfg, work_dir=tmp_path / 'work')
    model = MODELS.build(cfg.model)
    last = tmp_path / 'work' / 'iter_2.pth'
    load_checkpoint(model, str(last))
    weights = prunable_weights(model)
    zeros = sum(int((w == 0).sum()) for w in weights.values())
    number = sum(w.numel() for w in weights.values())
    assert zeros == round(0.9 * number)
    assert all((w != 0).any() for w in weights.values())
    assert not (model.decode_head.conv_seg.weight == 0).any()
    assert not any('conv_seg' in name or 'bn' in name for name in weights)
    # And when the training goes on.
    cfg.train_cfg.max_iters = 3
    cfg.resume, cfg.work_dir = True, str(tmp_path / 'work')
    cfg.experiment_name = 'on'
    runner = Runner.from_cfg(cfg)
    runner.train()
    for name, weight in prunable_weights(runner.model).items():
        assert torch.equal(weight == 0, weights[name] == 0)


@pytest.mark.parametrize('wrong', [dict(sparsity=1), dict(steps=0)])
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match='sparsity to be in'):
        ProsPrHook(**{'sparsity': 0.5, **wrong})
