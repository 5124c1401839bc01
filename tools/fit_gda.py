"""Fit the densities of a trained mmseg model. No retraining, no new config.

Reads the config's training images once, through its test pipeline, and writes
<checkpoint stem>_gda.pth beside the checkpoint, with a report in JSON. Any
EncoderDecoder whose decode head ends in cls_seg will do.
"""

from mmengine.config import DictAction
from mmengine.dist import is_main_process

from mmseg_ddu.apis import cli, fit_gda


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/fit_gda.py CONFIG CHECKPOINT\n  python tools/fit_gda.py'
        ' CONFIG CHECKPOINT --gda-options views=polar shrinkage=oas',
    )
    parser.add_argument('config', help='config the network was trained with')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--out', help='file to write')
    parser.add_argument(
        '--gda-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='arguments of the density head: views='
        'multi-scale|ddu-paper|direction|polar|class-polar, normalize=True, '
        'covariance_type=full|tied|diag, rank=64, shrinkage=0.1 or oas, '
        'reg_covar=1e-6, priors=uniform|empirical',
    )
    parser.add_argument(
        '--pixels-per-class',
        type=int,
        default=512,
        help='most pixels of a class taken from one image (512)',
    )
    add = parser.add_argument
    add('--max-images', type=int, help='use a seeded choice of the images')
    parser.add_argument(
        '--calibration-fraction',
        type=float,
        default=0.1,
        help='share of the images that calibrate the percentiles (0.1)',
    )
    parser.add_argument(
        '--temperature', action='store_true', help='calibrate the softmax too'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed (0)')
    parser.add_argument('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cli.set_local_rank(args)
    cli.init_distributed(args.launcher)
    out = fit_gda(
        args.config,
        args.checkpoint,
        args.out,
        gda_head=args.gda_options,
        pixels_per_class=args.pixels_per_class,
        calibration_fraction=args.calibration_fraction,
        seed=args.seed,
        temperature=args.temperature,
        device=args.device,
        max_images=args.max_images,
        cfg_options=args.cfg_options,
    )
    if is_main_process():
        print(f'next: python tools/test.py {args.config} {out}')


if __name__ == '__main__':
    cli.run(main)
