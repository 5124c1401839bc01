"""Do the features of a network keep the distances between images?

A density can only see what the feature keeps. For each tap this prints how
many values it has for each of the image, by how much it stretches the
distance between images and that to noisy copies of eight bands of spatial
frequency, and the least that a change of an image was found to change the
feature, for a tiny change and, for the first tap, for one that can be seen.
DIR/distances.json has all figures; DIR gets each image beside the copy that
the feature hardly tells from it, with both epistemic scores in the name of
the file.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.distance_check import check_distances, sentences


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/check_distances.py CONFIG CHECKPOINT_gda.pth IMAGES '
        '--out-dir distances --taps penultimate backbone[0]',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='*_gda.pth file')
    add('images', nargs='+', help='images, or folders of images')
    add('--out-dir', required=True, help='folder to write')
    add(
        '--taps',
        nargs='+',
        default=['penultimate'],
        help='features: penultimate, or modules such as backbone[0]',
    )
    add('--number', type=int, default=4, help='most images (4)')
    add('--size', type=int, default=64, help='side of the squares (64)')
    add(
        '--products',
        type=int,
        default=1000,
        help='with the Jacobian, most for each tap and image (1000)',
    )
    add('--seed', type=int, default=0, help='of the noise (0)')
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    answers = check_distances(
        args.config,
        args.checkpoint,
        args.images,
        args.out_dir,
        taps=args.taps,
        number=args.number,
        size=args.size,
        products=args.products,
        seed=args.seed,
        device=args.device,
        cfg_options=args.cfg_options,
    )
    for sentence in sentences(answers):
        print(f'- {sentence}')


if __name__ == '__main__':
    cli.run(main)
