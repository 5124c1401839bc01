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
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='its weights')
    add('--out', help='file to write')
    add(
        '--gda-options',
        dest='gda_head',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='arguments of the density head: views='
        'multi-scale|ddu-paper|direction|polar|class-polar, normalize=True, '
        'covariance_type=full|tied|diag, rank=64, shrinkage=0.1 or oas, '
        'reg_covar=1e-6, priors=uniform|empirical',
    )
    add(
        '--pixels-per-class',
        type=int,
        default=512,
        help='most pixels of a class taken from one image (512)',
    )
    add('--max-images', type=int, help='use a seeded choice of the images')
    add(
        '--calibration-fraction',
        type=float,
        default=0.1,
        help='share of the images that calibrate the percentiles (0.1)',
    )
    add('--temperature', action='store_true', help='calibrate the softmax too')
    add('--seed', type=int, default=0, help='seed (0)')
    add('--device', help='cuda if there is one, else cpu')
    add(
        '--save-every',
        type=float,
        default=120,
        metavar='SECONDS',
        help='write the state of the fit this often, for --resume (120)',
    )
    add('--resume', action='store_true', help='go on from a stopped fit')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cli.set_local_rank(args)
    cli.init_distributed(args.launcher)
    options = vars(args)
    for name in ('launcher', 'local_rank'):
        del options[name]
    out = fit_gda(**options)
    if is_main_process():
        print(f'next: python tools/test.py {args.config} {out}')


if __name__ == '__main__':
    cli.run(main)
