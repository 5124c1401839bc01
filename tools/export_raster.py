"""Write classes and uncertainty maps of large rasters, window by window.

For each raster: NAME_class.tif, 8 bits with the colours and names of the
classes (255: no data), and NAME_uncertainty.tif with the class again and the
maps aleatoric, epistemic and total as bands (NaN: no data); cloud optimized
GeoTIFFs at the place of the raster. Memory does not grow with the raster.
Needs rasterio: pip install "mmseg_ddu[geo]".
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, export_raster


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/export_raster.py CONFIG CHECKPOINT_gda.pth scene.tif '
        '--out-dir maps/',
    )
    add = parser.add_argument
    add('config', help='config the network was trained with')
    add('checkpoint', help='*_gda.pth file')
    add('files', nargs='+', metavar='FILE', help='raster that GDAL reads')
    add('--out-dir', required=True, help='folder to write')
    used = parser.add_mutually_exclusive_group().add_argument
    used('--overwrite', action='store_true', help='replace what is there')
    used('--resume', action='store_true', help='go on with a stopped export')
    which = 'of the network, in its order, from 1 (all but alpha)'
    add('--bands', type=int, nargs='+', metavar='N', help=which)
    side = 'side of what the network sees at once, in pixels (1024)'
    add('--window', type=int, default=1024, metavar='N', help=side)
    shared = 'pixels that neighbouring windows share (256); half is not used'
    add('--overlap', type=int, default=256, metavar='N', help=shared)
    scale = 'pixels the network sees for one of the raster, in place of a '
    scale += 'Resize of the test pipeline'
    add('--scale', type=float, metavar='X', help=scale)
    shares = 'also write how many training pixels are below'
    add('--percentiles', action='store_true', help=shares)
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    rows = export_raster(
        args.config,
        args.checkpoint,
        args.files,
        args.out_dir,
        bands=args.bands,
        window=args.window,
        overlap=args.overlap,
        scale=args.scale,
        percentiles=args.percentiles,
        device=args.device,
        overwrite=args.overwrite,
        resume=args.resume,
        cfg_options=args.cfg_options,
    )
    print(f'{len(rows)} rasters exported to {args.out_dir}.')


if __name__ == '__main__':
    cli.run(main)
