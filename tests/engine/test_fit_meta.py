"""What a fit says of itself, and how it is used."""

import re

import numpy as np
import pytest

from mmseg_ddu.apis.inference import init_ddu, predict
from mmseg_ddu.engine import fit_gda
from mmseg_ddu.engine.checkpoint import read_checkpoint, save_checkpoint
from mmseg_ddu.engine.fit_meta import (
    fitted_heads,
    test_mode,
    warn_of_other_mode,
)
from mmseg_ddu.models.gda_head import FORMAT

test_mode.__test__ = False  # pytest would take it for a test


SLIDE = dict(mode='slide', crop_size=(32, 32), stride=[16, 16])


@pytest.mark.parametrize(
    'change, then, now',
    [
        (lambda cfg: cfg.model.test_cfg.update(SLIDE), 'whole', 'slide'),
        (
            lambda cfg: cfg.test_dataloader.dataset.pipeline.insert(
                1, dict(type='Resize', scale=(96, 96), keep_ratio=True)
            ),
            r'resize \[\]',
            r'scale \[96, 96\]',
        ),
    ],
)
def test_another_mode_or_scale_is_warned_of(
    change, then, now, plain_cfg, checkpoint, said
):
    fitted = fit_gda(plain_cfg, checkpoint)
    said.clear()
    init_ddu(plain_cfg, fitted, 'cpu')
    assert said == []
    change(plain_cfg)
    model = init_ddu(plain_cfg, fitted, 'cpu')
    (line,) = said
    assert 'fitted with' in line and 'fit again' in line
    for words in (then, now):
        assert re.search(words, line), line
    predict(model, np.zeros((40, 40, 3), np.uint8))


def test_the_same_mode_written_otherwise(said):
    resize = dict(type='mmseg.Resize', scale=(64, 64), keep_ratio=True)
    steps = [dict(type='LoadImageFromFile'), resize]
    meta = dict(gda=dict(test_mode=test_mode(SLIDE, steps)))
    same = [steps[0], dict(resize, type='Resize', scale=[64, 64])]
    warn_of_other_mode(meta, dict(SLIDE, crop_size=[32, 32]), same)
    for silent in ({}, dict(gda=3), dict(gda={})):
        warn_of_other_mode(silent, SLIDE, steps)
    assert said == []
    warn_of_other_mode(meta, dict(SLIDE, stride=(8, 8)), steps)
    assert len(said) == 1


def test_thresholds_of_another_mode(said):
    steps = [dict(type='LoadImageFromFile')]
    mode = test_mode(SLIDE, steps)
    meta = dict(gda=dict(test_mode=mode), abstention=dict(test_mode=mode))
    warn_of_other_mode(meta, SLIDE, steps)
    assert said == []
    meta['abstention'] = dict(test_mode=test_mode({}, steps))
    warn_of_other_mode(meta, SLIDE, steps)
    (line,) = said
    assert 'thresholds of the abstention were found' in line
    assert 'mode whole' in line and 'promises mean something else' in line


def test_heads_of_a_fit():
    fit = dict(format=FORMAT, head={}, extra_heads=dict(a=dict(rank=3)))
    kind = dict(type='mmseg_ddu.GDAHead')
    assert fitted_heads(fit) == dict(
        gda_head=kind, extra_heads=dict(a=dict(kind, rank=3))
    )


@pytest.mark.parametrize(
    'lost, message',
    [
        (('map_calibration.', 'image_novelty.'), 'have no calibration .*Fit'),
        (('map_calibration.',), 'have no calibration .*Fit again'),
        (('gda_head.surprise.',), 'have no calibration .*Fit again'),
        (('map_calibration.', 'gda_head.density.'), 'or another network'),
    ],
)
def test_checkpoints_without_calibration(
    lost, message, plain_cfg, checkpoint, tmp_path
):
    content = read_checkpoint(fit_gda(plain_cfg, checkpoint))
    content['state_dict'] = {
        key: value
        for key, value in content['state_dict'].items()
        if not key.startswith(lost)
    }
    save_checkpoint(tmp_path / 'less.pth', **content)
    with pytest.raises(ValueError, match=message):
        init_ddu(plain_cfg, tmp_path / 'less.pth', 'cpu')
