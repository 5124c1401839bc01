"""Write classes and uncertainty maps of an image or a folder.

For each image: the class map (PNG with palette); the maps aleatoric,
epistemic and total as float32 .npy, 16-bit PNG and heat map; their
percentiles among training pixels (0 = as ordinary as they get, 1 = beyond all
of them); an overlay. And one manifest.json with units, scales and a row per
image.

Exit code 1 says that unreadable images were skipped; the manifest lists them.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, export
from mmseg_ddu.apis.writers import FORMATS


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/export_uncertainty.py CONFIG CHECKPOINT_gda.pth photos/'
        ' --out-dir maps/',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='*_gda.pth file')
    add('images', help='image, or folder of images')
    add('--out-dir', required=True, help='folder to write')
    used = parser.add_mutually_exclusive_group().add_argument
    used('--overwrite', action='store_true', help='write into a used folder')
    used('--resume', action='store_true', help='go on with a stopped export')
    formats = f'of {", ".join(sorted(FORMATS))} (all); class is always written'
    add('--formats', nargs='+', metavar='NAME', help=formats)
    no_pictures = 'leave out heat maps and overlays'
    add('--no-pictures', action='store_true', help=no_pictures)
    too_large = 'larger images are not read (64000000)'
    add('--max-pixels', type=int, default=64_000_000, help=too_large)
    add('--device', help='cuda if there is one, else cpu')
    cli.add_tta(parser)
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cli.join(args.launcher)
    manifest = export(
        args.config,
        args.checkpoint,
        args.images,
        args.out_dir,
        device=args.device,
        overwrite=args.overwrite,
        resume=args.resume,
        formats=args.formats,
        pictures=not args.no_pictures,
        max_pixels=args.max_pixels,
        cfg_options=args.cfg_options,
        tta=args.tta,
    )
    if not cli.is_main_process():
        return 0  # the main process speaks for all
    skipped = manifest['num_skipped']
    print(
        f'{manifest["num_exported"]} images exported to {args.out_dir}, '
        f'{skipped} skipped.'
    )
    return 1 if skipped else 0


if __name__ == '__main__':
    cli.run(main)
