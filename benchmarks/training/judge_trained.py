"""Train one variant, fit it, and ask the questions of the table."""

from __future__ import annotations

import time
from pathlib import Path

from mmengine.config import Config

from benchmarks.proof.figures import (
    SHIFT_KINDS,
    error_figures,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.networks import HALF_TRAINED, NETWORKS, Network, files
from benchmarks.proof.pixel_scores import score_pixels
from benchmarks.training.variants import VARIANTS
from mmseg_ddu.apis import fit_gda, init_ddu, test, train
from mmseg_ddu.datasets.shifts import shifted
from mmseg_ddu.engine.build import read_config
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
PIXELS, SHIFTED_PIXELS = 2000, 1000  # of an image


def trained(cfg: Config, folder: Path) -> Path:
    """The last checkpoint of a training, which goes on where it was.

    Beside it ``seconds.json``: processor seconds of an iteration of the part
    that this process did.
    """
    last = folder / f'iter_{cfg.train_cfg.max_iters}.pth'
    if not last.exists():
        start = time.process_time()
        runner = train(cfg, work_dir=folder, resume=folder.is_dir())
        spent = time.process_time() - start
        write_json(folder / 'seconds.json', spent / max(1, runner.iter))
    return last


def judge_variant(data: str, variant: str, seed: int, args) -> dict:
    """Figures of one training."""
    network, unknown = DATA[data]
    config, _ = files(network, args.networks, args.weights, args.data)
    cfg = read_config(config, {'randomness.seed': seed})
    for change in VARIANTS[variant]:
        change(cfg)
    folder = args.runs / f'{data}_{variant.replace(" ", "_")}_{seed}'
    checkpoint = trained(cfg, folder)
    fitted = fit_gda(cfg, checkpoint, seed=seed, max_images=args.fit_images)
    tested = test(cfg, fitted, work_dir=folder / 'test')
    model = init_ddu(cfg, fitted)
    dataset = cfg.test_dataloader.dataset

    def scores(config: dict, images: int, pixels: int):
        return score_pixels(model, config, None, images, pixels, seed)

    plain = scores(dataset, args.images, PIXELS)
    moved = {
        kind: scores(shifted(dataset, kind), args.shift_images, SHIFTED_PIXELS)
        for kind in SHIFT_KINDS
    }
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
    )
