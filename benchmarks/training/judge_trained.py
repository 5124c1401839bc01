"""Train one variant, fit it, and ask the questions of the table."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from benchmarks.proof.figures import (
    error_figures,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.judged_pixels import plain_and_moved, scoring
from benchmarks.proof.networks import HALF_TRAINED, NETWORKS, Network, files
from benchmarks.proof.resumed_training import seconds_per_iteration, trained
from benchmarks.training.variants import Variant
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.apis import test as evaluate
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.pruning import prunable_weights

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
        seconds_per_iteration=seconds_per_iteration(folder),
    )
