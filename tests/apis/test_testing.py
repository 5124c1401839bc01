"""What tools/test.py adds to a config, and what it shows."""

import logging

from mmseg_ddu.apis.testing import (
    with_uncertainty_metrics,
    without_figures_on_console,
)
from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import Metric


def types(evaluator):
    metrics = with_uncertainty_metrics(evaluator)
    return [metric.get('metric', metric['type']) for metric in metrics]


def test_metrics_join_those_of_the_config():
    ours = ['calibration', 'novelty', 'patches', 'ranking']
    iou = dict(type='IoUMetric', iou_metrics=['mIoU'])
    assert types(iou) == ['IoUMetric', *ours]
    own = dict(type='mmseg_ddu.UncertaintyMetric', ambiguous_classes=('a',))
    named = dict(type='mmseg_ddu.CountedMetric', metric='patches', size=2)
    assert types([iou, own, named]) == [
        'IoUMetric',
        'mmseg_ddu.UncertaintyMetric',
        'patches',
        'calibration',
        'novelty',
    ]


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
