"""Write one HTML file to look at: table, curves and a browser of images.

RESULTS_DIR is the output of tools/compare_uncertainty.py, the output of
tools/export_uncertainty.py, or a folder that holds both. Maps of several
methods come from several exports of the same images. The file opens from
disk and needs no network.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, write_report


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/report.py results/a --maps ddu=maps/ddu '
        'ensemble=maps/ensemble \\\n    --config CONFIG --out report.html',
    )
    add = parser.add_argument
    add('results_dir', help='comparison, exported maps, or both')
    add(
        '--maps',
        nargs='+',
        action=cli.DictAction,
        metavar='NAME=DIR',
        help='exported maps of a method',
    )
    add('--out', help='file to write (RESULTS_DIR/report.html)')
    add('--config', help='truth of its test images, found by file name')
    add('--masks', metavar='DIR', help='truth from PNGs of class indices')
    add('--ranking', metavar='CSV', help='order, of tools/rank_images.py')
    add('--monitor', metavar='STATE', help='charts, of tools/monitor.py')
    most = 'the first of the ranking, or most unusual ones (60)'
    add('--max-images', type=int, default=60, help=most)
    add('--title', default='Uncertainty report', help='heading of the page')
    cli.add_cfg_options(parser)
    return parser.parse_args()


def main():
    path = write_report(**vars(parse_args()))
    print(f'Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    cli.run(main)
