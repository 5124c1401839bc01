"""Which images to look at next, for one of three purposes.

--for review MAPS...
    Exported images (folders that tools/export_uncertainty.py wrote) whose
    predictions are likely to be wrong, so that a person checks them.

--for labelling MAPS...
    The same for images without labels, to choose which to label next.
    --overlap leaves aside what is unlike all training images, --diverse takes
    images that are far apart for a network, --temperature 1 draws at random.

--for label-errors CONFIG CHECKPOINT_gda.pth
    Labelled images whose labels the network finds hard to believe.

Each image comes with the box of its worst region, what is predicted there and,
for label errors, what is labelled there and the kind of error it looks like.
Writes OUT.csv with the first --budget images, OUT.json with the same and with
what was left out, and for --format a file that a label tool imports, with the
prediction to start from. Started again after Ctrl-C, it goes on where it was.

Exit code 1 says that images were left out; OUT.json lists them.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, rank_images
from mmseg_ddu.apis.ranking.exported_images import SCORES
from mmseg_ddu.apis.ranking.import_files import IMPORTS
from mmseg_ddu.apis.ranking.rank import PURPOSES
from mmseg_ddu.fileio import printable


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/rank_images.py CONFIG CHECKPOINT_gda.pth '
        '--for label-errors \\\n    --budget 50 --out errors.csv\n'
        '  python tools/rank_images.py maps/ --for labelling --format cvat',
    )
    add = parser.add_argument
    add('sources', nargs='+', metavar='SOURCE', help='see above')
    purpose = f'one of {", ".join(PURPOSES)}'
    add('--for', dest='purpose', required=True, metavar='FOR', help=purpose)
    add('--budget', type=int, default=50, help='images to list (50)')
    add('--out', default='ranking.csv', help='file to write (ranking.csv)')
    formats = f'of {", ".join(sorted(IMPORTS))}: files to import'
    add('--format', dest='formats', nargs='+', default=(), help=formats)
    add('--split', help='whose labels may be wrong: train, val or test (val)')
    score = f'of maps: {", ".join(SCORES)} (total)'
    add('--score', metavar='NAME', help=score)
    chance = 'chance in the choice of what to label (0: none)'
    add('--temperature', type=float, default=0.0, metavar='T', help=chance)
    unlike = 'what is unlike the training images counts less'
    add('--overlap', action='store_true', help=unlike)
    apart = 'config and checkpoint in whose features images are to differ'
    add('--diverse', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help=apart)
    add('--seed', type=int, default=0, help='of the chance (0)')
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    options = vars(parse_args())
    report = rank_images(*options.pop('sources'), **options)
    for row in report['images'][:10]:
        there = ' -> '.join(filter(None, (row['label'], row['predicted'])))
        words = filter(None, (printable(row['image']), there, row['kind']))
        print(f'{row["rank"]:4} {row["score"]:9.3f}', *words, sep='  ')
    left_out = [printable(row['image']) for row in report['left_out']]
    print(
        f'{len(report["images"])} of {report["ranked"]} images listed, '
        f'{len(left_out)} left out: {", ".join(left_out[:3]) or "none"}. '
        f'Wrote {", ".join(report["files"])}.'
    )
    return 1 if left_out else 0


if __name__ == '__main__':
    cli.run(main)
