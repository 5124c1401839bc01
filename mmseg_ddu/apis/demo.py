"""The whole path on the embedded sample, from nothing to a table."""

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
from .inference import init_ddu, predict
from .runner import train
from .testing import test

NAME = 'deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'
VIEWS = ('multi-scale', 'ddu-paper', 'direction', 'polar', 'class-polar')
COLUMNS = ('ood', 'amb', 'mis')
HEADER = (
    'method',
    'score',
    'mIoU',
    'unseen objects',
    'twin classes',
    'misclassified',
    'ms/image',
)
EXPORTED = 8


def demo(
    configs: str | os.PathLike,
    work_dir: str | os.PathLike = 'work_dirs/demo',
    max_iters: int | None = None,
) -> list[dict]:
    """Sample, training, fit, test, export and a comparison.

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
    train(config, work_dir=work_dir, resume=True, cfg_options=options)
    checkpoint = Path((work_dir / 'last_checkpoint').read_text().strip())
    images = sorted((root / IMAGES).glob('test_*.jpg'))
    rows = []
    for views in VIEWS:
        out = checkpoint.with_name(f'{checkpoint.stem}_{views}.pth')
        fit_gda(config, checkpoint, out, gda_head=dict(views=views))
        rows += _rows('DDU', views, config, out, work_dir, images)
    rows = [row for row in rows if row['score'] != 'entropy'] + rows[1:2]
    rows += _rows(
        'MC dropout x10',
        'mutual information',
        baseline,
        checkpoint,
        work_dir,
        images,
    )
    fitted = checkpoint.with_name(f'{checkpoint.stem}_{VIEWS[0]}.pth')
    export(
        config, fitted, images[:EXPORTED], work_dir / 'maps', overwrite=True
    )
    write_json(work_dir / 'demo.json', rows)
    print(_table(rows))
    print(f'Look at the maps in {work_dir / "maps" / "overlay"}.')
    return rows


def _rows(
    method: str,
    epistemic: str,
    config: Path,
    checkpoint: Path,
    work_dir: Path,
    images: Sequence[Path],
) -> list[dict]:
    """One row per score of a checkpoint."""
    metrics = test(config, checkpoint, work_dir=work_dir / 'test')
    model = init_ddu(config, checkpoint)
    milliseconds = time_predictions(model, images[:20])
    aleatoric = 'entropy' if method == 'DDU' else 'expected entropy'
    rows = []
    for score, name in (('epistemic', epistemic), ('aleatoric', aleatoric)):
        row = dict(method=method, score=name, mIoU=round(metrics['mIoU'], 2))
        for column in COLUMNS:
            key = f'uncertainty/{score}_{column}_AUROC'
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
    table = PrettyTable(HEADER)
    for row in rows:
        table.add_row(['-' if v is None else v for v in row.values()])
    return (
        'AUROC in percent: does the score rank these pixels above ordinary '
        f'ones? 50 is chance.\n{table}\nA good epistemic score finds unseen '
        'objects and leaves the twin classes at 50; a good aleatoric score '
        'finds the twins.'
    )
