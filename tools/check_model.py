"""Will it work on mine? One card from your held-out labelled images.

No unknown object, no other data set is needed. On the validation images of
the config (else the test images) it measures how well each map finds wrong
pixels, what refusing or correcting uncertain pixels gains, calibration,
twelve kinds of changed images, pasted patches, the fit of each Gaussian, and
whole images against sliding windows. It takes minutes. Stopped with Ctrl-C
and started again, it goes on where it was.

DIR/card.html says in sentences what to use and what to change, and shows the
figures behind them; it opens from disk. DIR/card.json has the same figures.
"""

from pathlib import Path

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import check_model, cli


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/check_model.py CONFIG CHECKPOINT_gda.pth --out card',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='*_gda.pth file')
    add('--out', help='folder to write (beside the checkpoint, *_card)')
    add('--images', type=int, default=40, help='most plain images (40)')
    add(
        '--shift-images',
        type=int,
        default=12,
        help='for each shift, and for whole and slide (12)',
    )
    add('--seed', type=int, default=0, help='of images and pixels (0)')
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    path = Path(args.checkpoint)
    out = Path(args.out or path.with_name(f'{path.stem}_card'))
    card = check_model(
        args.config,
        args.checkpoint,
        out,
        images=args.images,
        shift_images=args.shift_images,
        seed=args.seed,
        device=args.device,
        cfg_options=args.cfg_options,
    )
    for sentence in card['sentences']:
        print(f'- {sentence}')
    print(f'Wrote {out / "card.html"}')


if __name__ == '__main__':
    cli.run(main)
