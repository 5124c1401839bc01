"""Memory and time of a large raster, and how much windows disagree.

A tiled raster of 20,000 x 20,000 pixels with three bands is drawn on disk and
exported by tools/export_raster.py in a process of its own, whose peak memory
is taken, with that of the processes it starts. The network is an untrained
ResNet of 4 channels, so that it takes minutes: time is that of everything but
the network.

With a network of your own and a raster it also says how much two windows
disagree about the pixels on both sides of the seam between them.

  python -m benchmarks.decisions.raster --seams CONFIG CHECKPOINT scene.tif \\
      --mosaic VOC --sizes 1024x256
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from benchmarks.decisions.raster_seams import disagreement, draw_mosaic
from mmseg_ddu.apis import cli, fit_gda
from mmseg_ddu.datasets.sample import SampleRecipe, make_sample
from mmseg_ddu.fileio import write_json
from mmseg_ddu.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
DEMO = 'ddu/ddu_deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'
BLOCK = 512
CLASSES = 6


def draw_raster(path: Path, side: int) -> None:
    """Coloured noise in blocks, one row of tiles after another."""
    import rasterio

    rng = np.random.default_rng(0)
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        width=side,
        height=side,
        count=3,
        dtype='uint8',
        crs='EPSG:32632',
        transform=place,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        bigtiff='IF_SAFER',
    ) as file:
        for top in range(0, side, BLOCK):
            rows = min(BLOCK, side - top)
            coarse = rng.integers(0, 200, (3, BLOCK // 16, side // 16 + 1))
            pixels = coarse.astype(np.uint8).repeat(16, 1).repeat(16, 2)
            pixels = pixels[:, :rows, :side]
            pixels += rng.integers(0, 56, pixels.shape, np.uint8)
            file.write(pixels, window=((top, top + rows), (0, side)))


def small_network(folder: Path) -> tuple[Path, Path]:
    """Config and fitted checkpoint."""
    os.environ['DDU_SAMPLE'] = str(folder / 'sample')
    make_sample(folder / 'sample', SampleRecipe(train=12, val=4, test=4))
    cfg = Config.fromfile(ROOT / 'configs' / DEMO)
    cfg.custom_hooks = []
    norm = dict(type='BN')
    cfg.model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[128.0] * 3,
            std=[64.0] * 3,
            bgr_to_rgb=True,
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            stem_channels=4,
            base_channels=4,
            out_indices=(0, 1, 2, 3),
            norm_cfg=norm,
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=8,
            in_index=1,
            channels=8,
            num_convs=1,
            concat_input=False,
            num_classes=CLASSES,
            norm_cfg=norm,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
        test_cfg=dict(mode='whole'),
    )
    cfg.dump(folder / 'config.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    weights = folder / 'weights.pth'
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(meta={}, state_dict=state), weights)
    return folder / 'config.py', fit_gda(cfg, weights)


def watched(pid: int) -> tuple[int, int, resource.struct_rusage]:
    """Peak bytes of a process with its children, its status and its usage.

    Looked at every second; what processes share counts once.
    """
    peak, process = 0, psutil.Process(pid)
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return peak, status, usage
        size = 0
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                size += each.memory_full_info().pss
        peak = max(peak, size)
        time.sleep(1)


def measure(folder: Path, side: int) -> dict:
    """Peak memory and seconds of the export of one raster."""
    model = small_network(folder)
    scene = folder / 'scene.tif'
    draw_raster(scene, side)
    command = [sys.executable, ROOT / 'tools' / 'export_raster.py', *model]
    command += [scene, '--out-dir', folder / 'maps', '--overwrite']
    start = time.perf_counter()
    child = subprocess.Popen(list(map(str, command)))
    peak, status, usage = watched(child.pid)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f'The export ended with the status {status}.')
    written = sum(f.stat().st_size for f in (folder / 'maps').glob('*.tif'))
    return dict(
        peak_mib=round(peak / 2**20),
        seconds=round(seconds),
        processor_seconds=round(usage.ru_utime + usage.ru_stime),
        side=side,
        bands=3,
        network='ResNetV1c-18 of 4 channels, FCNHead of stride 8',
        classes=CLASSES,
        threads=torch.get_num_threads(),
        written_mib=round(written / 2**20),
    )


def main() -> None:
    program = 'python -m benchmarks.decisions.raster'
    parser = cli.parser(__doc__, f'{program} --work DIR')
    add = parser.add_argument
    add('--side', type=int, default=20_000, help='pixels (20000)')
    add('--work', type=Path, help='folder for about 12 GB')
    add('--mosaic', type=Path, metavar='VOC', help='draw FILE of these')
    three = ('CONFIG', 'CHECKPOINT', 'FILE')
    add('--seams', nargs=3, metavar=three, help='measure these instead')
    add('--sizes', type=cli.height_and_width, nargs='+', metavar='WxO')
    add('--json', type=Path, default=Path('results/decisions.json'))
    args = parser.parse_args()
    there = json.loads(args.json.read_text()) if args.json.exists() else {}
    entry = there.setdefault('raster', {})
    if args.mosaic and args.seams:
        draw_mosaic(Path(args.seams[2]), args.mosaic)
    if args.seams:
        sizes = args.sizes or [(1024, 256)]
        entry['seams'] = disagreement(*args.seams, sizes)
    else:
        with tempfile.TemporaryDirectory(dir=args.work) as folder:
            entry.update(measure(Path(folder), args.side))
    print(json.dumps(entry, indent=2))
    write_json(args.json, there)


if __name__ == '__main__':
    cli.run(main)
