"""Weights that do not belong to a network are named."""

import pytest
import torch
from torch import nn

from mmseg_ddu.engine.checkpoint import (
    load_weights,
    read_checkpoint,
    save_checkpoint,
)


def weights(model, **more):
    return {**model.state_dict(), **more}


def test_weights_without_a_place_are_a_warning(said):
    model = nn.Sequential(nn.Linear(2, 2))
    extra = {'1.weight': model[0].weight, '1.bias': model[0].bias}
    load_weights(model, weights(model, **extra), 'file.pth')
    (text,) = said
    assert '2 of the weights in file.pth' in text and '1.weight' in text


def test_what_no_prediction_needs_is_none(said):
    model = nn.Sequential(nn.Linear(2, 2))
    value = model[0].weight
    names = 'auxiliary_head.x', 'gda_head.means', 'bn.num_batches_tracked'
    load_weights(model, weights(model, **dict.fromkeys(names, value)), 'f')
    assert not said


def test_missing_weights_are_an_error(said):
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='1 keys are missing.*0.weight'):
        load_weights(model, {'0.bias': model[0].bias}, 'f')


@pytest.mark.parametrize(
    'meta',
    [
        dict(dataset_meta=dict(classes=['a', 'b'], palette=[[0, 0, 1]])),
        dict(dataset_meta=dict(CLASSES=['a', 'b'], PALETTE=[[0, 0, 1]])),
        dict(CLASSES=['a', 'b'], PALETTE=[[0, 0, 1]]),
    ],
    ids=['1.x', '1.0rc', '0.x'],
)
def test_classes_of_all_releases_are_found(meta, tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(dict(meta=meta, state_dict={'w': torch.ones(1)}), path)
    found = read_checkpoint(path)['meta']['dataset_meta']
    assert found == dict(classes=['a', 'b'], palette=[[0, 0, 1]])


@pytest.mark.parametrize('name', ['weights', '.weights', 'weights.pth'])
def test_names_without_a_suffix(name, tmp_path):
    save_checkpoint(tmp_path / name, {'w': torch.ones(1)}, {})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read_checkpoint(tmp_path / name)['state_dict'] == {'w': 1}
