"""Train a segmentor, as mmseg's own tool does.

With `FitGDAHook` in the config (it is in ours) the densities of the last and
the best checkpoint are fitted at the end, into `*_gda.pth` files beside them.
"""

import argparse
import os

from mmengine.config import DictAction

from mmseg_ddu.apis import train


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/train.py configs/ddu/'
        'ddu_deeplabv3plus_r50-d8_4xb4-40k_voc12aug-512x512.py',
    )
    parser.add_argument('config', help='train config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (./work_dirs/CONFIG)',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the latest checkpoint in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision (GPU)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example '
        'train_cfg.max_iters=2000 or key="[(a,b),(c,d)]"',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (none)',
    )
    # torch.distributed.launch passes it; torchrun sets the variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    train(
        args.config,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
    )


if __name__ == '__main__':
    main()
