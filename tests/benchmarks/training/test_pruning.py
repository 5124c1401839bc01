"""SNIP by hand, exact sparsity, and a benchmark that goes on."""

import argparse
import copy
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks.training import trainings
from benchmarks.training.judge_trained import share_of_zeros, shortened
from benchmarks.training.other_pruning_hooks import SNIPHook
from benchmarks.training.pruning import PRUNED
from mmseg_ddu.apis import train
from mmseg_ddu.engine import pruning
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.pruning import prunable_weights
from mmseg_ddu.registry import MODELS


def test_snip_is_weight_times_gradient(plain_cfg, monkeypatch):
    model = MODELS.build(plain_cfg.model)

    def loss_of(network, batch):
        def loss(weights):
            found = sum((w.sin() * batch).sum() for w in weights.values())
            return found**2

        return loss

    monkeypatch.setattr(pruning, '_loss_of', loss_of)
    batches = [torch.tensor(0.01), torch.tensor(5.0)]
    monkeypatch.setattr(pruning, '_batches', lambda _, n: batches[:n])
    runner = SimpleNamespace(train_dataloader=None)
    scores = SNIPHook(0.9).scores(runner, model)
    weights = prunable_weights(model)
    loss = sum((w.sin() * 0.01).sum() for w in weights.values()) ** 2
    loss.backward()
    for name, weight in weights.items():
        expected = (weight * weight.grad).abs().detach()
        torch.testing.assert_close(scores[name], expected)


@pytest.mark.parametrize('variant', ['random 95', 'snip 90'])
def test_a_training_ends_with_exactly_so_many_zeros(
    plain_cfg, tmp_path, variant
):
    cfg = copy.deepcopy(plain_cfg)
    cfg.train_cfg.update(max_iters=2, val_interval=10)
    cfg.randomness = dict(seed=0)
    for change in PRUNED[variant]:
        change(cfg)
    runner = train(cfg, work_dir=tmp_path / 'work')
    number = sum(w.numel() for w in prunable_weights(runner.model).values())
    wanted = round(number * float(variant[-2:]) / 100) / number
    assert share_of_zeros(runner.model) == pytest.approx(wanted, abs=1e-9)


def test_shorter_trainings(plain_cfg):
    plain_cfg.param_scheduler = [dict(type='PolyLR', end=1000)]
    cfg = read_config(plain_cfg, shortened(7))
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end == 7
    assert shortened(None) == {}


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch, capsys):
    asked = []

    def judged(data, changes, folder, seed, args):
        asked.append((folder.name, changes))
        time = None if seed == 1 else 2.0  # stopped at its end
        return dict(miou=10.0 * seed, seconds_per_iteration=time)

    monkeypatch.setattr(trainings, 'judge_variant', judged)
    command = [
        *('x', '--networks', 'a', '--weights', 'b', '--data', 'c'),
        *('--sets', 'voc5', '--only', 'random 90'),
        *('--runs', str(tmp_path), '--json', str(tmp_path / 'p.json')),
    ]
    for seeds in (['1'], ['1', '2']):
        monkeypatch.setattr(sys, 'argv', [*command, '--seeds', *seeds])
        parser = argparse.ArgumentParser()
        trainings.measure_variants(parser, PRUNED, 'unused.json')
    names = [name for name, _ in asked]
    assert names == ['voc5_random_90_1', 'voc5_random_90_2']
    assert asked[0][1] == PRUNED['random 90']
    found = json.loads((tmp_path / 'p.json').read_text())
    entry = found['voc5']['random 90']
    assert entry['miou'] == 15 and entry['miou_std'] == 5
    assert entry['seeds'] == [1, 2]
    assert entry['seconds_per_iteration'] == 2
    assert '15.000 ± 5.000' in capsys.readouterr().out
    # Of a seed that is not asked for, but would be in the mean.
    other = [*command, '--images', '5', '--seeds', '3']
    monkeypatch.setattr(sys, 'argv', other)
    with pytest.raises(ValueError, match='is of other settings'):
        trainings.measure_variants(argparse.ArgumentParser(), PRUNED, '')
    assert len(asked) == 2


def test_stopped_before_anything_is_there(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainings, 'judge_variant', stopped)
    monkeypatch.setattr(
        sys,
        'argv',
        [
            *('x', '--networks', 'a', '--weights', 'b', '--data', 'c'),
            *('--runs', str(tmp_path), '--json', str(tmp_path / 'p.json')),
        ],
    )
    with pytest.raises(KeyboardInterrupt):
        trainings.measure_variants(argparse.ArgumentParser(), PRUNED, '')
    assert not (tmp_path / 'p.json').exists()
