"""Which images to look at next.

--for label-errors CONFIG CHECKPOINT_gda.pth
    Labelled images whose labels the network finds hard to believe. Each comes
    with the box of the worst region, what is labelled there and what the
    network predicts there.

Writes OUT.csv with the first --budget images, OUT.json with the same and with
what was left out, and for --format a file that a label tool imports, with the
prediction to start from. Stopped with Ctrl-C and started again, it goes on
where it was; with another --budget or --format it predicts nothing twice.

Exit code 1 says that images were left out; OUT.json lists them.
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli, rank_images
from mmseg_ddu.apis.ranking.import_files import IMPORTS
from mmseg_ddu.apis.ranking.rank import PURPOSES


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/rank_images.py CONFIG CHECKPOINT_gda.pth '
        '--for label-errors\n    --budget 50 --out errors.csv --format cvat',
    )
    add = parser.add_argument
    add('sources', nargs='+', metavar='SOURCE', help='see above')
    purpose = f'one of {", ".join(PURPOSES)}'
    add('--for', dest='purpose', required=True, metavar='FOR', help=purpose)
    add('--budget', type=int, default=50, help='images to list (50)')
    add('--out', default='ranking.csv', help='file to write (ranking.csv)')
    formats = f'of {", ".join(sorted(IMPORTS))}: files to import'
    add('--format', nargs='+', default=(), metavar='NAME', help=formats)
    split = 'whose labels: train, val or test (val)'
    add('--split', default='val', help=split)
    add('--device', help='cuda if there is one, else cpu')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    report = rank_images(
        *args.sources,
        purpose=args.purpose,
        budget=args.budget,
        out=args.out,
        formats=args.format,
        split=args.split,
        device=args.device,
        cfg_options=args.cfg_options,
    )
    for row in report['images'][:10]:
        there = f'{row["label"]} -> {row["predicted"]}' if row['label'] else ''
        print(f'{row["rank"]:4} {row["score"]:9.3f}  {row["image"]}  {there}')
    left_out = len(report['left_out'])
    print(
        f'{len(report["images"])} of {report["ranked"]} images listed, '
        f'{left_out} left out. Wrote {", ".join(report["files"])}.'
    )
    return 1 if left_out else 0


if __name__ == '__main__':
    cli.run(main)
