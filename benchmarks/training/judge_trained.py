"""Train one variant, fit it, and ask the questions of the table."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint
from torch import nn

from benchmarks.proof.figures import (
    error_figures,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.judged_pixels import plain_and_moved, scoring
from benchmarks.proof.networks import HALF_TRAINED, NETWORKS, Network, files
from benchmarks.training.variants import Variant
from mmseg_ddu.apis import fit_gda, init_ddu, train
from mmseg_ddu.apis import test as evaluate
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.pruning import prunable_weights
from mmseg_ddu.fileio import write_json

HERE = 'benchmarks/training/'
DATA = {
    'camvid9': (NETWORKS['deeplabv3plus_mnv2_camvid9'], 'car_sign'),
    'voc5': (
        Network(
            f'{HERE}deeplabv3plus_mnv2_voc5.py',
            'mobilenet_v2_imagenet.pth',
            HALF_TRAINED.data,
            HALF_TRAINED.unknown,
        ),
        'near',
    ),
}
SECONDS = 'seconds.json'


def trained(cfg: Config, folder: Path) -> Path:
    """The last checkpoint of a training, which goes on where it was.

    Beside it ``SECONDS``: processor seconds of an iteration of the part
    that this process did.
    """
    last = folder / f'iter_{cfg.train_cfg.max_iters}.pth'
    if not last.exists():
        done = iterations_done(folder)
        start = time.process_time()
        runner = train(cfg, work_dir=folder, resume=folder.is_dir())
        spent = time.process_time() - start
        write_json(folder / SECONDS, spent / max(1, runner.iter - done))
    return last


def iterations_done(folder: Path) -> int:
    """Those after which a stopped training goes on."""
    latest = find_latest_checkpoint(str(folder)) if folder.is_dir() else None
    return int(Path(latest).stem.removeprefix('iter_')) if latest else 0


def share_of_zeros(model: nn.Module) -> float:
    """Among the weights that may be pruned."""
    weights = prunable_weights(model).values()
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)


def shortened(iterations: int | None) -> dict:
    """Settings of a config that trains for so many."""
    if iterations is None:
        return {}
    keys = ('train_cfg.max_iters', 'train_cfg.val_interval')
    return dict.fromkeys((*keys, 'param_scheduler.0.end'), iterations)


def judge_variant(
    data: str, changes: Variant, folder: Path, seed: int, args
) -> dict:
    """Figures of one training, in a folder of its own."""
    network, unknown = DATA[data]
    config, _ = files(network, args.networks, args.weights, args.data)
    settings = {'randomness.seed': seed, **shortened(args.iterations)}
    cfg = read_config(config, settings)
    for change in changes:
        change(cfg)
    checkpoint = trained(cfg, folder)
    fitted = fit_gda(cfg, checkpoint, seed=seed, max_images=args.fit_images)
    tested = evaluate(cfg, fitted, work_dir=folder / 'test')
    model = init_ddu(cfg, fitted)
    test = model.cfg.test_dataloader.dataset
    plain, moved = plain_and_moved(test, scoring(model, seed), args)
    values = network.unknown[unknown]
    seconds = folder / SECONDS  # not there if it was stopped at the end
    found = {
        f'unknown_{name}': unknown_figures(plain, row, values)['auroc']
        for name, row in (
            ('epistemic', 'epistemic'),
            ('total', 'total'),
            ('entropy', 'aleatoric'),
        )
    }
    return dict(
        miou=tested['mIoU'],
        ece=tested['calibration/ECE'],
        errors=error_figures(plain, 'total')['errors'],
        **found,
        shifts=shift_figures(plain, moved, 'epistemic')['shifts_mean'],
        zeros=share_of_zeros(model),
        seconds_per_iteration=json.loads(seconds.read_text())
        if seconds.exists()
        else math.nan,
    )
