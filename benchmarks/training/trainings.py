"""Variants of one recipe: each trained, fitted and judged, in one file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

from benchmarks.proof.figures import mean_and_std
from benchmarks.tables import markdown_table
from benchmarks.training.judge_trained import DATA, judge_variant
from benchmarks.training.variants import Variant
from mmseg_ddu.fileio import write_json


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where networks, weights, data and what is made of them are."""
    folder = dict(type=Path, required=True)
    parser.add_argument('--networks', **folder, help='folder of configs')
    parser.add_argument('--weights', **folder, help='folder of checkpoints')
    parser.add_argument('--data', **folder, help='folder of data sets')
    parser.add_argument('--runs', type=Path, default=Path('training_runs'))


def parse_with_backbone(
    parser: argparse.ArgumentParser,
) -> argparse.Namespace:
    """Arguments; ``MOBILENET_V2`` is set, and the folder of runs made."""
    args = parser.parse_args()
    backbone = args.weights / 'mobilenet_v2_imagenet.pth'
    os.environ['MOBILENET_V2'] = str(backbone.resolve())
    args.runs.mkdir(parents=True, exist_ok=True)
    return args


def measure_variants(
    parser: argparse.ArgumentParser,
    variants: Mapping[str, Variant],
    results: str,
) -> None:
    """A whole benchmark, from its command line to its table.

    A training goes on where it was stopped, and each finished one is kept in
    the file of results.

    Args:
        parser (ArgumentParser): With its description.
        variants (Mapping[str, Variant]): Name to changes of the config.
        results (str): The file, unless another is asked for.
    """
    add_places(parser)
    add = parser.add_argument
    add('--sets', nargs='+', choices=DATA, default=[*DATA])
    add('--only', nargs='+', choices=variants, default=[*variants])
    add('--seeds', type=int, nargs='+', default=[0, 1, 2])
    add('--images', type=int, default=80, help='plain (80)')
    add('--fit-images', type=int, default=400)
    add('--shift-images', type=int, default=20, help='for each shift (20)')
    add(
        '--iterations',
        type=int,
        help="of a training (the config's); others need another --runs",
    )
    add('--json', type=Path, default=Path(results))
    args = parse_with_backbone(parser)
    found = json.loads(args.json.read_text()) if args.json.exists() else {}
    for seed in args.seeds:
        for data in args.sets:
            for name in args.only:
                rows = found.setdefault(data, {})
                rows[name] = measured(data, name, variants[name], seed, args)
                write_json(args.json, found)
    print(table(found))


def measured(data: str, name: str, changes: Variant, seed: int, args) -> dict:
    """Means over all seeds that are there, this one among them."""
    prefix = f'{data}_{name.replace(" ", "_")}'
    folder = args.runs / f'{prefix}_{seed}'
    file = folder.with_suffix('.json')
    if not file.exists():
        print(f'{data}, {name}, seed {seed}')
        write_json(file, judge_variant(data, changes, folder, seed, args))
    runs = {
        int(other.stem.rpartition('_')[2]): json.loads(other.read_text())
        for other in sorted(args.runs.glob(f'{prefix}_[0-9].json'))
    }
    found = mean_and_std([*runs.values()])
    if len(runs) == 1:  # no spread is known
        found.update({k: None for k in found if k.endswith('_std')})
    return dict(found, seeds=[*runs])


def table(results: dict) -> str:
    """A row for each data set and variant."""
    lines, columns = [], []
    for data, variants in results.items():
        for variant, figures in variants.items():
            columns = [k for k in figures if k != 'seeds' and k[-4:] != '_std']
            seeds = len(figures['seeds'])
            values = [
                f'{figures[key]:.3f}'
                + (f' ± {figures[key + "_std"]:.3f}' if seeds > 1 else '')
                for key in columns
            ]
            lines.append([data, variant, str(seeds), *values])
    return markdown_table(['data', 'variant', 'seeds', *columns], lines)
