"""Print mIoU and the uncertainty figures of a checkpoint, and what they mean.

The config is the one the network was trained with; the density head comes
with the checkpoint. For test images with out-of-distribution masks (see
LoadOoDAnnotations) it also says how well each map finds them; for shifted
images (see WithShift), how well image_novelty does. All numbers are in
results.json beside the log.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, test


def parse_args():
    parser = cli.parser(
        __doc__, 'python tools/test.py CONFIG work_dirs/x/iter_40000_gda.pth'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        help='*_gda.pth file, or plain weights for an MC dropout config',
    )
    parser.add_argument(
        '--work-dir',
        help='folder for the log and results.json (./work_dirs/CONFIG)',
    )
    cli.add_tta(parser)
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    test(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
        tta=args.tta,
    )


if __name__ == '__main__':
    cli.run(main)
