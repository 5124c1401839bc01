"""Write a fitted model as ONNX: class, maps, percentiles, image novelty.

The graph takes image (1, 3, H, W), float32, BGR, 0 to 255, of any size. It is
run in onnxruntime at two sizes and compared with PyTorch before it is kept.
Needs onnx and onnxruntime (pip install "mmseg_ddu[onnx]").
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, export_onnx
from mmseg_ddu.apis.onnx_export import SIZES, TOLERANCE


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/export_onnx.py CONFIG CHECKPOINT_gda.pth model.onnx '
        '--images a.jpg b.jpg',
    )
    parser.add_argument('config', help='config the network was trained with')
    parser.add_argument('checkpoint', help='*_gda.pth file')
    parser.add_argument('out', help='.onnx file to write')
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        help='images to compare with (noise)',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        type=cli.height_and_width,
        default=SIZES,
        metavar='HxW',
        help='sizes to compare at (512x512 384x640)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=TOLERANCE,
        help=f'largest difference allowed ({TOLERANCE:g})',
    )
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    report = export_onnx(
        args.config,
        args.checkpoint,
        args.out,
        images=args.images,
        sizes=args.sizes,
        tolerance=args.tolerance,
        cfg_options=args.cfg_options,
    )
    for row in report['checks']:
        height, width = row['size']
        print(
            f'{height}x{width}, {row["images"]} images: largest difference '
            f'epistemic {row["epistemic"]:.1e}, '
            f'aleatoric {row["aleatoric"]:.1e}; '
            f'other class at {row["class"]:.1%} of the pixels'
        )
    print(f'Wrote {report["out"]}, {report["bytes"] / 1e6:.1f} MB.')


if __name__ == '__main__':
    cli.run(main)
