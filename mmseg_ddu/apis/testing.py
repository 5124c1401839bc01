"""mIoU and the uncertainty figures of a checkpoint, in one run."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.build import (
    check_classes,
    model_of_checkpoint,
    require_settings,
)
from mmseg_ddu.engine.checkpoint import load_weights, plain, read_checkpoint
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.fit_meta import warn_of_other_mode
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import bare_datasets, evaluation_pipeline
from mmseg_ddu.engine.ranks import without_wrapper
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.engine.tta_pipeline import TTA_MODEL, tta_pipeline
from mmseg_ddu.evaluation import (
    CalibrationMetric,
    PAvPUMetric,
    UncertaintyMetric,
)
from mmseg_ddu.evaluation.verdict import verdict
from mmseg_ddu.fileio import sha256, write_json
from mmseg_ddu.models.convert import last_head
from mmseg_ddu.registry import OWN_SCOPE, type_name

from .runner import build_runner, load_config

COUNTED = 'mmseg_ddu.CountedMetric'
# What these count need not be counted twice.
OWN = {
    f'mmseg_ddu.{kind.__name__}': kind.metric
    for kind in (CalibrationMetric, PAvPUMetric, UncertaintyMetric)
}


@safe_loading()
def test(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    *,
    work_dir: str | os.PathLike | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
    tta: bool = False,
) -> dict:
    """Test a fitted checkpoint; see ``tools/test.py --help``.

    The config needs no change: the density head comes from the checkpoint,
    and the metrics of ``mmseg_ddu.core.metrics`` join the config's own. The
    results are also written as ``results.json`` beside the log, which ends
    in what they mean, in words.

    With ``tta``, predictions and maps are means over the augmentations
    of the config's ``tta_pipeline``, or of the test pipeline and its flip.

    Returns:
        dict: Metric name to value.

    Raises:
        NotFittedError: If the checkpoint holds no fitted densities.
        ValueError: If checkpoint, config and data do not belong together.
    """
    cfg = load_config(config, cfg_options, work_dir, launcher)
    require_settings(cfg, 'test_dataloader', 'test_evaluator', 'test_cfg')
    steps = evaluation_pipeline(cfg)
    content = read_checkpoint(checkpoint)
    cfg.model = model_of_checkpoint(cfg.model, content['meta'])
    kind = type_name(cfg.model)
    if tta:
        augment(cfg)
    void = void_label(cfg.model.get('module', cfg.model))
    cfg.test_evaluator = with_uncertainty_metrics(cfg.test_evaluator, void)
    # The weights are loaded below, where what does not fit is an error.
    cfg.load_from, cfg.resume = None, False
    runner = build_runner(cfg)
    model = without_wrapper(runner.model)
    model = model.module if tta else model
    load_weights(model, content['state_dict'], str(checkpoint))
    if hasattr(model, 'gda_head'):
        model.gda_head.require_fitted()
        warn_of_other_mode(content['meta'], model.test_cfg, steps)
    with naming_empty_folders(cfg.test_dataloader.dataset):
        dataset = runner.test_loop.dataloader.dataset
    check_classes(model, dataset.metainfo, content['meta'].get('dataset_meta'))
    with without_figures_on_console(runner.logger):
        metrics = plain(runner.test())
    if is_main_process():
        path = Path(runner.log_dir) / 'results.json'
        write_json(
            path,
            dict(
                metrics=metrics,
                config=str(cfg.filename),
                checkpoint=str(checkpoint),
                checkpoint_sha256=sha256(checkpoint),
                model=kind,
                tta=tta,
                versions=versions(),
            ),
        )
        runner.logger.info(f'Wrote {path}')
        lines = [f'- {line}' for line in verdict(metrics)]
        runner.logger.info('\n'.join(['In words:', *lines]))
    return metrics


def augment(cfg: Config) -> None:
    """Turn a config into one that tests with augmentations."""
    pipeline = tta_pipeline(cfg)
    for leaf in bare_datasets(cfg.test_dataloader.dataset):
        leaf['pipeline'] = copy.deepcopy(pipeline)
    cfg.model = dict(type=TTA_MODEL, module=cfg.model)


def void_label(model: dict) -> int:
    """The label that the last decode head of a config leaves out."""
    head = last_head(model.get('member', model))
    return head.get('ignore_index', VOID)


def with_uncertainty_metrics(evaluator: dict | list, void: int = VOID) -> list:
    """The config's metrics, and of ours those that are not among them.

    ``void`` is the ``ignore_index`` of ours that name none.
    """
    metrics = list(evaluator) if isinstance(evaluator, list) else [evaluator]
    there = {
        metric.get('metric', OWN.get(type_name(metric))) for metric in metrics
    }
    missing = [n for n, k in METRIC.items() if k.in_test and n not in there]
    metrics += [dict(type=COUNTED, metric=name) for name in missing]
    return [
        {'ignore_index': void, **metric}
        if type_name(metric).startswith(OWN_SCOPE)
        else metric
        for metric in metrics
    ]


@contextmanager
def without_figures_on_console(logger: logging.Logger) -> Iterator[None]:
    """mmengine's line of all figures goes into the log file alone."""

    def wanted(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not ('(test)' in text and 'uncertainty/' in text)

    consoles = [
        handler
        for handler in logger.handlers
        if not isinstance(handler, logging.FileHandler)
    ]
    for handler in consoles:
        handler.addFilter(wanted)
    try:
        yield
    finally:
        for handler in consoles:
            handler.removeFilter(wanted)
