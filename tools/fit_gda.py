"""Fit the densities of a trained mmseg model. No retraining, no new config.

Reads the config's training images once, as its test images are read, and some
again for percentiles. Writes <checkpoint stem>_gda.pth beside the checkpoint,
and a report in JSON. Any EncoderDecoder whose decode head ends in cls_seg will
do. The defaults are good; --gda-options takes

  preset=direction|ddu-paper   the default, or the method as published
  transform=direction|raw|row_space|null_space   what becomes of the feature
  components=4       Gaussians per class, for classes that are mixtures
  shrinkage=0.05     towards the tied covariance; 0 to 1, or oas
  rank=64            Gaussians in a subspace: faster, smaller files
  stride=1           score every cell; 2 scores one in four: faster
  covariance_type=full|tied|diag   priors=uniform|empirical   reg_covar=1e-6
  tap=backbone[3]    another feature than the input of the classifier
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, fit_gda


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/fit_gda.py CONFIG CHECKPOINT\n  python tools/fit_gda.py'
        ' CONFIG CHECKPOINT --gda-options components=4 shrinkage=oas',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='its weights')
    add('--out', help='file to write')
    text = 'options of the density head, see above'
    cli.add_gda_options(parser, text, dest='gda_head')
    text = 'most pixels of a class taken from one image (512)'
    add('--pixels-per-class', type=int, default=512, help=text)
    add('--max-images', type=int, help='use a seeded choice of the images')
    text = 'share of the images that calibrate, 256 at most (0.2)'
    add('--calibration-fraction', type=float, default=0.2, help=text)
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
    cli.join(args.launcher)
    options = vars(args)
    del options['launcher']
    out = fit_gda(**options)
    if cli.is_main_process():
        print(cli.next_test(args, out))


if __name__ == '__main__':
    cli.run(main)
