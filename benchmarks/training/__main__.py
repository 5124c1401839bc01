"""What training for a density buys, and what it costs.

Each variant of one recipe is trained with several seeds, fitted and judged:
mIoU, wrong pixels by the total map, unknown objects by density, total and
entropy, changed images by the density, calibration. A training goes on where
it was stopped, and each finished one is kept in the file of results.

  python -m benchmarks.training --networks A --weights B --data C
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.proof.figures import mean_and_std
from benchmarks.tables import markdown_table
from benchmarks.training.judge_trained import DATA, judge_variant
from benchmarks.training.variants import VARIANTS
from mmseg_ddu.apis import cli
from mmseg_ddu.fileio import write_json


def table(results: dict) -> str:
    """A row for each data set and variant."""
    lines, columns = [], []
    for data, variants in results.items():
        for variant, figures in variants.items():
            columns = [k for k in figures if k != 'seeds' and k[-4:] != '_std']
            values = [
                f'{figures[key]:.3f} ± {figures[key + "_std"]:.3f}'
                for key in columns
            ]
            seeds = len(figures['seeds'])
            lines.append([data, variant, str(seeds), *values])
    return markdown_table(['data', 'variant', 'seeds', *columns], lines)


def main() -> None:
    parser = cli.parser(__doc__, 'python -m benchmarks.training …')
    folder = dict(type=Path, required=True)
    parser.add_argument('--networks', **folder, help='folder of configs')
    parser.add_argument('--weights', **folder, help='folder of checkpoints')
    parser.add_argument('--data', **folder, help='folder of data sets')
    parser.add_argument('--runs', type=Path, default=Path('training_runs'))
    parser.add_argument('--sets', nargs='+', choices=DATA, default=[*DATA])
    parser.add_argument(
        '--only', nargs='+', choices=VARIANTS, default=[*VARIANTS]
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--images', type=int, default=80, help='plain (80)')
    parser.add_argument('--fit-images', type=int, default=400)
    parser.add_argument(
        '--shift-images', type=int, default=20, help='for each shift (20)'
    )
    parser.add_argument(
        '--json', type=Path, default=Path('results/training.json')
    )
    args = parser.parse_args()
    backbone = args.weights / 'mobilenet_v2_imagenet.pth'
    os.environ['MOBILENET_V2'] = str(backbone.resolve())
    args.runs.mkdir(parents=True, exist_ok=True)
    results = json.loads(args.json.read_text()) if args.json.exists() else {}
    for seed in args.seeds:
        for data in args.sets:
            for variant in args.only:
                keep(results.setdefault(data, {}), data, variant, seed, args)
                write_json(args.json, results)
    print(table(results))


def keep(found: dict, data: str, variant: str, seed: int, args) -> None:
    """Measure a seed of a variant, unless it is there already."""
    file = args.runs / f'{data}_{variant.replace(" ", "_")}_{seed}.json'
    if not file.exists():
        print(f'{data}, {variant}, seed {seed}')
        write_json(file, judge_variant(data, variant, seed, args))
    runs = {}
    for other in sorted(args.runs.glob(f'{file.stem[:-1]}[0-9].json')):
        runs[int(other.stem.rpartition('_')[2])] = json.loads(
            other.read_text()
        )
    found[variant] = dict(**mean_and_std([*runs.values()]), seeds=[*runs])


if __name__ == '__main__':
    cli.run(main)
