"""Train a segmentor, as mmseg's own tool does.

With FitGDAHook in the config (it is in ours) the densities of the last and
the best checkpoint are fitted at the end, into *_gda.pth files beside them.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, train


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/train.py configs/ddu/'
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
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    return parser.parse_args()


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
    cli.run(main)
