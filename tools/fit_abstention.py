"""Refuse unsure pixels, with a promise about the errors of the rest.

On labelled images that were not trained on, finds the threshold of the total
uncertainty at which the share of wrong pixels among those kept is at most
--error, and stores it in the checkpoint. From then on exports write 255 and an
abstain/ mask where a pixel is refused, predictions have pred_abstain, and
tools/test.py prints coverage, error kept and error refused.

The promise is about new images like the calibration images: it says nothing
about another camera or another city. On average over calibration sets it needs
about 1 / error images; with --confidence 0.9 about three times as many, drawn
independently of each other. If it cannot be kept, the smallest error that can
is printed; to promise that one, find the threshold on other images.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, fit_abstention


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/fit_abstention.py CONFIG CHECKPOINT_gda.pth '
        '--error 0.02',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='*_gda.pth file')
    text = 'most that the share of wrong pixels among those kept may be'
    add('--error', type=float, required=True, help=text)
    text = 'keep the promise for this share of calibration sets, such as 0.9'
    add('--confidence', type=float, help=text)
    text = 'a threshold and a promise for each predicted class'
    add('--per-class', action='store_true', help=text)
    text = 'whose labelled images to use (val)'
    add('--split', choices=['val', 'test'], default='val', help=text)
    add('--out', help='file to write (the checkpoint itself)')
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    found = fit_abstention(**vars(args))
    refused = f'; of those refused {found["error_refused"]:.1%} are wrong'
    print(
        f'On {found["images"]} images: {found["coverage"]:.1%} of the pixels '
        f'kept, of which {found["error_kept"]:.2%} are wrong '
        f'({found["error_before"]:.2%} before)'
        f'{refused if found["coverage"] < 1 else ", none refused"}.'
    )
    print(cli.next_test(args, args.out or args.checkpoint))


if __name__ == '__main__':
    cli.run(main)
