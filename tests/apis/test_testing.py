"""What tools/test.py adds to a config, and what it shows."""

import copy
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.apis.testing import (
    void_label,
    with_uncertainty_metrics,
    without_figures_on_console,
)
from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import Metric
from mmseg_ddu.evaluation import UncertaintyMetric


def types(evaluator):
    metrics = with_uncertainty_metrics(evaluator)
    return [metric.get('metric', metric['type']) for metric in metrics]


def test_metrics_join_those_of_the_config():
    ours = ['abstention', 'calibration', 'novelty', 'patches', 'ranking']
    iou = dict(type='IoUMetric', iou_metrics=['mIoU'])
    assert types(iou) == ['IoUMetric', *ours]
    own = dict(type='mmseg_ddu.UncertaintyMetric', ambiguous_classes=('a',))
    named = dict(type='mmseg_ddu.CountedMetric', metric='patches', size=2)
    assert types([iou, own, named]) == [
        'IoUMetric',
        'mmseg_ddu.UncertaintyMetric',
        'patches',
        'abstention',
        'calibration',
        'novelty',
    ]


def test_our_metrics_leave_out_what_the_head_does():
    heads = [dict(ignore_index=7), dict(ignore_index=0)]
    assert void_label(dict(decode_head=heads)) == 0
    assert void_label(dict(member=dict(decode_head=heads[0]))) == 7
    assert void_label(dict(decode_head=dict())) == 255
    iou = dict(type='IoUMetric')
    own = dict(type=UncertaintyMetric, ignore_index=3)
    there, chosen, *added = with_uncertainty_metrics([iou, own], 0)
    assert there == iou and chosen == own
    assert {metric['ignore_index'] for metric in added} == {0}
    assert 'ranking' not in [metric['metric'] for metric in added]


@pytest.mark.parametrize('void', [0, 254, 6])
def test_figures_with_another_void(void, plain_cfg, checkpoint, tmp_path):
    """Those of the same masks with 255 for void."""
    figures = []
    for label in (255, void):
        root = tmp_path / str(label)
        shutil.copytree(plain_cfg.data_root, root)
        for path in (root / 'SegmentationClass').glob('*.png'):
            mask = np.array(Image.open(path))
            mask[:9] = label
            mask[mask == 255] = label
            if void == 0:
                mask[mask == 0] = label
            Image.fromarray(mask).save(path)
        cfg = copy.deepcopy(plain_cfg)
        cfg.model.decode_head.ignore_index = label
        cfg.test_evaluator.ignore_index = label
        for name in ('train', 'test'):
            cfg[f'{name}_dataloader'].dataset.data_root = str(root)
        fitted = fit_gda(cfg, checkpoint, root / 'fitted.pth')
        figures.append(run_test(cfg, fitted, work_dir=root))
    for name, value in figures[0].items():
        if name.startswith(('uncertainty', 'calibration')):
            assert figures[1][name] == pytest.approx(value, abs=0.02), name


def test_a_new_metric_joins_by_itself():
    METRIC.register('new')(Metric)
    try:
        assert types([])[-1] == 'new'
    finally:
        del METRIC['new']


def test_the_line_of_all_figures_is_in_the_file_alone(tmp_path, capsys):
    logger = logging.getLogger('test of the console')
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler())
    logger.addHandler(logging.FileHandler(tmp_path / 'log'))
    line = 'Iter(test) [4/4]  mIoU: 3  uncertainty/total_mis_AUROC: 93'
    with without_figures_on_console(logger):
        logger.info(line)
        logger.info('Iter(test) [2/4]  eta: 0:00:01')
    logger.info(line)
    shown = capsys.readouterr().err.splitlines()
    assert shown == ['Iter(test) [2/4]  eta: 0:00:01', line]
    assert (tmp_path / 'log').read_text().count(line) == 2


def test_another_mode_than_that_of_the_fit(plain_cfg, checkpoint, tmp_path):
    fitted = fit_gda(plain_cfg, checkpoint, save_every=None)
    plain_cfg.model.test_cfg = dict(
        mode='slide', crop_size=(32, 32), stride=(16, 16)
    )
    # Runs of one name that begin in one second share the first one's log.
    plain_cfg.experiment_name = 'slide'
    run_test(plain_cfg, fitted, work_dir=tmp_path / 'slide')
    (log,) = tmp_path.glob('slide/*/*.log')
    (line,) = [s for s in log.read_text().splitlines() if 'test mode' in s]
    assert 'mode whole' in line and 'mode slide' in line


def test_the_config_that_was_given_stays_as_it_is(plain_cfg, checkpoint):
    before = plain_cfg.pretty_text
    fitted = fit_gda(plain_cfg, checkpoint)
    run_test(
        plain_cfg,
        fitted,
        tta=True,
        cfg_options={'model.test_cfg.mode': 'whole'},
    )
    assert plain_cfg.pretty_text == before
