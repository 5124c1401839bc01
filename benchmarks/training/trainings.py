"""Variants of one recipe: each trained, fitted and judged, in one file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.proof.figures import mean_and_std
from benchmarks.proof.kept_answers import KeptAnswer
from benchmarks.proof.shared_work import share
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

    A training goes on where it was stopped, each finished one is kept in the
    folder of runs, and the same command, started a second time beside the
    first, takes its share of them.

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
    asked = {
        (data, name): variants[name]
        for data in args.sets
        for name in args.only
    }
    parts = [
        training(*which, changes, seed, args)
        for seed in args.seeds
        for which, changes in asked.items()
    ]
    for which, changes in asked.items():
        kept_runs(*which, changes, args)  # raises if one is of other settings
    try:
        share({part.file: part.make for part in parts})
    finally:
        there = json.loads(args.json.read_text()) if args.json.exists() else {}
        for (data, name), changes in asked.items():
            runs = kept_runs(data, name, changes, args)
            if runs:
                there.setdefault(data, {})[name] = over_seeds(runs)
        if there:
            write_json(args.json, there)
            print(table(there))


def training(
    data: str, name: str, changes: Variant, seed: int, args
) -> KeptAnswer:
    """One training and its figures."""
    folder = args.runs / f'{data}_{name.replace(" ", "_")}_{seed}'
    return KeptAnswer(
        folder.with_suffix('.json'),
        judge_variant,
        (data, changes, folder, seed, args),
        dict(iterations=args.iterations),
    )


def kept_runs(data: str, name: str, changes: Variant, args) -> dict[int, dict]:
    """Seed to figures of all trainings that are there, asked for or not.

    Raises:
        ValueError: If one is of other settings.
    """
    seeds = sorted({*range(10), *args.seeds})
    parts = {n: training(data, name, changes, n, args) for n in seeds}
    return {n: p.answer() for n, p in parts.items() if p.file.exists()}


def over_seeds(runs: Mapping[int, dict]) -> dict:
    """Means, and spreads if there are several seeds."""
    found: dict = {}
    for key in next(iter(runs.values())):
        # A training that was stopped at its end has no time of an iteration.
        values = [{key: r[key]} for r in runs.values() if r[key] is not None]
        nothing = {key: None, f'{key}_std': None}
        found.update(mean_and_std(values) if values else nothing)
    if len(runs) == 1:  # no spread is known
        found.update({k: None for k in found if k.endswith('_std')})
    return dict(found, seeds=[*runs])


def table(results: dict) -> str:
    """A row for each data set and variant."""
    rows = [
        (data, name, figures)
        for data, variants in results.items()
        for name, figures in variants.items()
    ]
    columns = [k for k in rows[0][2] if k != 'seeds' and k[-4:] != '_std']
    lines = [
        [data, name, str(len(figures['seeds'])), *_cells(figures, columns)]
        for data, name, figures in rows
    ]
    return markdown_table(['data', 'variant', 'seeds', *columns], lines)


def _cells(figures: Mapping, columns: Sequence[str]) -> Iterator[str]:
    """Mean and spread, each where it is known."""
    for key in columns:
        mean, spread = figures[key], figures[f'{key}_std']
        yield ' ± '.join(f'{v:.3f}' for v in (mean, spread) if v is not None)
