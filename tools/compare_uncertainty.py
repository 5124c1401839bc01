"""Measure uncertainty methods on the same pixels: one table, all curves.

Methods: entropy, energy, max_logit, msp (any checkpoint), ddu and ddu-LABEL
(*_gda.pth; a row for each map), mc_dropoutT and mc_dropoutT-backbone (T
passes, dropout behind its stages too), ensemble and ensemble-LABEL (several).
Started again, a stopped run goes on. --aggregate averages finished runs.
Under torchrun, with --launcher pytorch, the processes share the images.
"""

from pathlib import Path

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import aggregate, cli, compare


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/compare_uncertainty.py CONFIG --method entropy=a.pth '
        'ddu=a_gda.pth \\\n    mc_dropout10=a.pth ensemble=a.pth,b.pth,c.pth '
        '--out-dir results/a\n  python tools/compare_uncertainty.py '
        '--aggregate results/a results/b \\\n    --quality-json '
        'results/quality.json',
    )
    add = parser.add_argument
    add('config', nargs='?', help='config the networks were trained with')
    add('--method', nargs='+', action='extend', metavar='NAME=CHECKPOINT')
    add('--out-dir', help='results.json, table.md, table.csv, pictures')
    add('--shifts', nargs='+', metavar='NAME', help='none, or some (all)')
    add(
        '--domains',
        nargs='+',
        action=cli.DictAction,
        metavar='NAME=FOLDER',
        help='images of another domain, as one more shift',
    )
    add('--max-images', type=int, help='a seeded choice of test images')
    add('--shift-images', type=int, default=80, help='for each shift (80)')
    add('--stride', type=int, default=4, help='every n-th pixel (4)')
    add('--patch', type=int, default=4, help='PAvPU window, in those (4)')
    add('--seed', type=int, default=0, help='seed (0)')
    add('--timing-images', type=int, default=10, help='for ms/image (10)')
    add('--device', help='cuda if there is one, else cpu')
    add('--default', metavar='ROW', help='default score (first ddu-total)')
    add('--overwrite', action='store_true', help='forget earlier results')
    add('--aggregate', nargs='+', metavar='DIR', help='finished runs')
    add('--quality-json', metavar='FILE', help='means over --aggregate')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    cli.add_launcher(parser)
    args = parser.parse_args()
    if args.aggregate and not args.quality_json:
        parser.error('--aggregate needs --quality-json FILE')
    given = args.config and args.method and args.out_dir
    if not args.aggregate and not given:
        parser.error('CONFIG, --method and --out-dir are needed')
    return args


def main():
    args = parse_args()
    cli.join(args.launcher)
    args = vars(args)
    del args['launcher']
    file = args.pop('quality_json')
    if folders := args.pop('aggregate'):
        aggregate(folders, file, args['default'])
        print(f'Wrote {file}')
        return 0
    content = compare(args.pop('config'), args.pop('method'), **args)
    if cli.is_main_process():
        print(Path(args['out_dir'], 'table.md').read_text())
    return int(any('error' in m for m in content['methods'].values()))


if __name__ == '__main__':
    cli.run(main)
