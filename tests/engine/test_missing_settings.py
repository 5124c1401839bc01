"""Configs that lack something: the advice in the error works."""

import re

import numpy as np
import pytest

from mmseg_ddu.apis import compare, fit_gda, init_ddu, predict, test, train
from mmseg_ddu.apis.html_report.truth import truth_from_config

test.__test__ = False  # pytest would take it for one


def followed(cfg, error):
    """A config with the lines that an error says to write."""
    (lines,) = re.findall('behind what is named: (.*)', str(error))
    for line in lines.split('; '):
        name, value = line.split(' = ')
        cfg[name] = eval(value, dict(cfg.items()))
    return cfg


def test_a_pipeline_is_enough_to_predict(plain_cfg, checkpoint):
    fitted = fit_gda(plain_cfg, checkpoint)
    for name in ('test', 'val'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            plain_cfg.pop(f'{name}_{part}')
    image = np.zeros((48, 48, 3), np.uint8)
    for run in fit_gda, init_ddu:
        with pytest.raises(ValueError, match='no test_dataloader') as raised:
            run(plain_cfg, fitted)
    text = re.search(r'test_dataloader = (.*\)\)),', str(raised.value))
    plain_cfg.test_dataloader = eval(text[1])
    fit_gda(plain_cfg, checkpoint)
    assert 'pred_total' in predict(init_ddu(plain_cfg, fitted), image)


def test_a_test_takes_the_images_of_the_validation(plain_cfg, checkpoint):
    fitted = fit_gda(plain_cfg, checkpoint)
    plain_cfg.val_dataloader = plain_cfg.test_dataloader
    plain_cfg.val_evaluator = plain_cfg.test_evaluator
    plain_cfg.pop('test_cfg')
    with pytest.raises(ValueError, match='no test_cfg. Write'):
        test(plain_cfg, fitted)
    plain_cfg.pop('test_evaluator')
    plain_cfg.pop('test_dataloader')
    with pytest.raises(ValueError, match='test_dataloader = ') as raised:
        test(plain_cfg, fitted)
    assert 'mIoU' in test(followed(plain_cfg, raised.value), fitted)


def test_other_tools_name_what_they_need(plain_cfg, tmp_path):
    for name in ('train_dataloader', 'test_dataloader'):
        plain_cfg.pop(name)
    with pytest.raises(ValueError, match='no train_dataloader'):
        train(plain_cfg)
    with pytest.raises(ValueError, match='no test_dataloader'):
        truth_from_config(plain_cfg)
    with pytest.raises(ValueError, match='no test_dataloader'):
        compare(plain_cfg, ['entropy=a.pth'], tmp_path)
