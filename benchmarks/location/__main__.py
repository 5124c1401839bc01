"""Does one set of Gaussians serve all places in the image?

Measures how alike features of one class are at different places, against
features of other classes; and how well one set of Gaussians separates
misclassified and unseen pixels, against a set for each cell of a grid, with
the memory that each takes. Writes location_study.json, .md and .png.
"""

from mmseg_ddu.apis import cli

from .study import GRIDS, location_study


def parse_args():
    parser = cli.parser(
        __doc__,
        'python -m benchmarks.location CONFIG CHECKPOINT --out-dir '
        'work_dirs/location --max-images 200',
    )
    parser.add_argument('config', help='config the network was trained with')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--out-dir', required=True, help='folder to write')
    parser.add_argument(
        '--grids',
        nargs='+',
        type=int,
        default=list(GRIDS),
        help='cells along each side (1 2 4 8)',
    )
    parser.add_argument(
        '--max-images',
        type=int,
        help='use a seeded choice of this many training and test images',
    )
    cli.add_gda_options(
        parser,
        'arguments of the density head, as in fit_gda.py '
        '(preset=ddu-paper shrinkage=oas)',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed (0)')
    parser.add_argument('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    location_study(
        args.config,
        args.checkpoint,
        args.out_dir,
        grids=args.grids,
        gda_head=args.gda_options,
        max_images=args.max_images,
        seed=args.seed,
        device=args.device,
        cfg_options=args.cfg_options,
    )
    print(f'The figures are in {args.out_dir}.')


if __name__ == '__main__':
    cli.run(main)
