"""The whole path on the embedded sample, from nothing to a report page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from prettytable import PrettyTable
from torch import nn

from mmseg_ddu.datasets.sample import IMAGES, make_sample
from mmseg_ddu.engine.fit import fit_gda
from mmseg_ddu.fileio import write_json

from .exporting import export
from .html_report import write_report
from .inference import init_ddu, predict
from .runner import train
from .testing import test

NAME = 'deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'
EXPORTED = 12
# Field to what it is called in the table, for each kind of model.
DDU = dict(
    aleatoric='aleatoric: entropy',
    epistemic='epistemic: density',
    total='total',
)
PAPER = dict(epistemic='epistemic: density as published')
SAMPLED = dict(
    aleatoric='expected entropy',
    epistemic='mutual information',
    total='predictive entropy',
)
COLUMNS = {
    'ood': 'unseen objects',
    'amb': 'twin classes',
    'mis': 'misclassified',
}


def demo(
    configs: str | os.PathLike,
    work_dir: str | os.PathLike = 'work_dirs/demo',
    max_iters: int | None = None,
) -> list[dict]:
    """Sample, training, fit, test, export, a comparison and a report.

    Run again, it goes on where it was stopped.

    Args:
        configs (str): Folder of the configs.
        work_dir (str): Where everything but the sample goes.
        max_iters (int, optional): Shorter training.

    Returns:
        list[dict]: The rows of the table; also in ``demo.json``.
    """
    # More threads gain nothing on a network this small, and on a busy machine
    # they wait for each other: 0.1 s an iteration became 5 s.
    torch.set_num_threads(1)
    work_dir = Path(work_dir)
    config = Path(configs) / 'ddu' / f'ddu_{NAME}'
    baseline = Path(configs) / 'mc_dropout' / f'mcdropout_{NAME}'
    root = make_sample(Config.fromfile(config).data_root)
    options = {}
    if max_iters is not None:
        options = {
            'train_cfg.max_iters': max_iters,
            'train_cfg.val_interval': max_iters,
            'param_scheduler.0.end': max_iters,
            'default_hooks.checkpoint.interval': max_iters,
        }
    # The fit below is the hook's, which would do it a second time.
    options['custom_hooks'] = []
    train(config, work_dir=work_dir, resume=True, cfg_options=options)
    checkpoint = Path((work_dir / 'last_checkpoint').read_text().strip())
    images = sorted((root / IMAGES).glob('test_*.jpg'))
    fitted = fit_gda(config, checkpoint)
    paper = checkpoint.with_name(f'{checkpoint.stem}_paper.pth')
    fit_gda(config, checkpoint, paper, gda_head=dict(preset='ddu-paper'))
    table: list[dict] = []
    for what in (
        ('DDU', config, fitted, DDU),
        ('DDU', config, paper, PAPER),
        ('MC dropout x10', baseline, checkpoint, SAMPLED),
    ):
        table += _rows(*what, work_dir / 'test', images)
    write_json(work_dir / 'demo.json', table)

    maps = work_dir / 'maps'
    export(config, fitted, images[:EXPORTED], maps, overwrite=True)
    page = write_report(maps, config=config, title='Demo')
    print(_table(table))
    print(f'Open {page.resolve()} in a browser.')
    return table


def _rows(
    method: str,
    config: Path,
    checkpoint: Path,
    maps: dict[str, str],
    work_dir: Path,
    images: Sequence[Path],
) -> list[dict]:
    """One row for each map of a checkpoint."""
    metrics = test(config, checkpoint, work_dir=work_dir)
    milliseconds = time_predictions(init_ddu(config, checkpoint), images[:20])
    rows = []
    for name, label in maps.items():
        row = dict(method=method, score=label)
        row['mIoU'] = round(metrics['mIoU'], 2)
        for column in COLUMNS:
            key = f'uncertainty/{name}_{column}_AUROC'
            row[f'{column}_AUROC'] = metrics.get(key)
        rows.append(dict(row, ms=round(milliseconds, 1)))
    return rows


def time_predictions(model: nn.Module, images: Sequence[Path]) -> float:
    """Median milliseconds per image, reading and resizing included."""
    times = []
    for image in [*images[:3], *images]:
        start = time.perf_counter()
        predict(model, image)
        times.append(time.perf_counter() - start)
    return 1000 * median(times[3:])


def _table(rows: list[dict]) -> str:
    header = ['method', 'score', 'mIoU', *COLUMNS.values(), 'ms/image']
    table = PrettyTable(header)
    for row in rows:
        table.add_row(['-' if v is None else v for v in row.values()])
    return (
        'AUROC in percent: does the score rank these pixels above ordinary '
        f'ones? 50 is chance.\n{table}\nThe epistemic map is to find unseen '
        'objects, and the aleatoric map the twin classes, which no network '
        'can tell apart. The epistemic map should leave twins near 50; how '
        'near depends on the seed of the training (46, 70 and 84 in three).'
    )
