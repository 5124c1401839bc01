"""Every score on networks that nobody tuned on, and what they would choose.

`scores` fits every network with several seeds and judges every score on it.
`sample` asks whether pixels are found that could be of either of two classes,
on the drawn sample, with three members that are trained for it.
`components` asks whether unknown objects are found as objects.
`seeds` fits four times on 100 images each and says how far figures differ.
`ms` measures what a prediction with each score takes.
`defaults` asks what each network would choose of the settings that it was
not asked about; the rule is in `choose_defaults.py`. `calibration` asks which
images of a fit should calibrate (`choose_calibration.py`). `all` asks one
after the other. Each network (and seed) is one file in the folder of runs, so
an interrupted proof goes on where it was. The answers stand side by side in
the file of results.

  python -m benchmarks.proof all --networks A --weights B --data C
  python -m benchmarks.proof scores --networks A --weights B --data C
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.proof.choose_calibration import (
    chosen_way,
    judge_ways,
    way_table,
)
from benchmarks.proof.choose_defaults import (
    choice_table,
    judge_settings,
    leave_one_out,
)
from benchmarks.proof.figures import mean_and_std
from benchmarks.proof.judge_components import judge_components
from benchmarks.proof.judge_sample import SAMPLE, judge_sample
from benchmarks.proof.judge_scores import judge_scores
from benchmarks.proof.judge_seeds import judge_seeds
from benchmarks.proof.judge_time import judge_time
from benchmarks.proof.networks import NETWORKS, Network
from benchmarks.proof.page import OF_SCORES, TABLES
from mmseg_ddu.apis import cli
from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.gda_head import FORMAT


def kept(file: Path, measure: Callable[..., dict], *args) -> dict:
    """What a file holds, measured first if there is none.

    The last argument has the settings, which have to be those of the file.

    Raises:
        ValueError: If they are not.
    """
    settings = {name: getattr(args[-1], name) for name in SETTINGS}
    settings['format'] = FORMAT
    if not file.exists():
        start = time.perf_counter()
        answer = measure(*args)
        write_json(file, dict(settings=settings, answer=answer))
        seconds = time.perf_counter() - start
        print(f'{file.stem}: {seconds / 60:.1f} minutes', flush=True)
    there = json.loads(file.read_text())
    if there.get('settings') != settings:
        raise ValueError(
            f'{file} is of other settings than {settings}. Choose another '
            '--runs, or delete it.'
        )
    return there['answer']


def of_network(args, network: Network, **changes) -> argparse.Namespace:
    """The options, and where they are silent what the network says."""
    own = {key: getattr(network, key) for key in SETTINGS}
    given = {key: value for key, value in vars(args).items() if value}
    return argparse.Namespace(**{**vars(args), **own, **changes, **given})


def alone(args) -> list[str]:
    """The networks that were asked for, but those with members."""
    return [n for n in args.only or NETWORKS if not NETWORKS[n].members]


def every_network(args) -> list[str]:
    """Those that choose together.

    Raises:
        ValueError: If only some were asked for.
    """
    if args.only:
        raise ValueError('All networks choose together: leave out --only.')
    return alone(args)


def scores(args) -> dict:
    """Network to the mean of its seeds."""
    networks = {}
    for name in args.only or NETWORKS:
        runs = []
        for seed in args.seeds:
            file = args.runs / f'{name}_{seed}.json'
            network = NETWORKS[name]
            own = of_network(args, network)
            runs.append(kept(file, judge_scores, network, seed, own))
        networks[name] = dict(**mean_and_std(runs), seeds=args.seeds)
    return dict(networks=networks)


def defaults(args) -> dict:
    """What each network would choose, and what it rests on."""
    found = {}
    for name in every_network(args):
        file = args.runs / f'{name}_choice.json'
        found[name] = kept(file, judge_settings, NETWORKS[name], name, args)
    chosen = leave_one_out(found)
    print(choice_table(chosen))
    return dict(choice=chosen, choice_answers=found)


def calibration(args) -> dict:
    """Network to what ways to calibrate give."""
    found = {}
    for name in every_network(args):
        file = args.runs / f'{name}_calibration.json'
        found[name] = kept(file, judge_ways, NETWORKS[name], args)
    print(way_table(found))
    others = {
        name: chosen_way({k: v for k, v in found.items() if k != name})
        for name in found
        if len(found) > 1
    }
    chosen = dict(others, none=chosen_way(found))
    return dict(choice=dict(calibration=chosen), calibration=found)


def sample(args) -> dict:
    """Row to the mean of its seeds."""
    own = of_network(args, SAMPLE)
    runs = [
        kept(args.runs / f'sample_{s}.json', judge_sample, SAMPLE, s, own)
        for s in args.seeds
    ]
    return dict(sample=dict(rows=mean_and_std(runs), seeds=args.seeds))


def components(args) -> dict:
    """Network to the components of its unknown objects, first seed."""
    found = {}
    seed = args.seeds[0]
    for name in args.only or NETWORKS:
        file = args.runs / f'{name}_{seed}_components.json'
        own = of_network(args, NETWORKS[name])
        found[name] = kept(file, judge_components, NETWORKS[name], seed, own)
    return dict(components=found)


def seeds(args) -> dict:
    """Network to the spread of its figures over four fits."""
    found = {}
    number = args.fit_images or FEW
    for name in alone(args):
        file = args.runs / f'{name}_{number}_seeds.json'
        changes = dict(images=40, shift_images=8, fit_images=number)
        own = of_network(args, NETWORKS[name], **changes)
        found[name] = kept(file, judge_seeds, NETWORKS[name], number, own)
    return {'seeds': {f'{number} images': found}}


def milliseconds(args) -> dict:
    """Network to the time of each row, first seed."""
    found = {}
    seed = args.seeds[0]
    for name in args.only or NETWORKS:
        file = args.runs / f'{name}_ms.json'
        own = of_network(args, NETWORKS[name])
        times = kept(file, judge_time, NETWORKS[name], seed, own)
        rows = {row: dict(ms=time) for row, time in times.items()}
        found[name] = dict(rows=rows)
    return dict(networks=found)


QUESTIONS = dict(
    scores=scores,
    sample=sample,
    components=components,
    seeds=seeds,
    ms=milliseconds,
    defaults=defaults,
    calibration=calibration,
)
ALL = 'all'
CHOICES = ('defaults', 'calibration')  # not of some networks alone
SETTINGS = ('fit_images', 'images', 'shift_images')
FEW = 100  # images of a fit, if nothing else is said, for the seeds


def merge(there: dict, found: dict) -> dict:
    """What is there with what was found; other questions' answers stay."""
    merged = dict(there)
    for key, value in found.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def main() -> None:
    parser = cli.parser(__doc__, 'python -m benchmarks.proof scores …')
    parser.add_argument('question', choices=[*QUESTIONS, ALL])
    folder = dict(type=Path, required=True)
    parser.add_argument('--networks', **folder, help='folder of configs')
    parser.add_argument('--weights', **folder, help='folder of checkpoints')
    parser.add_argument('--data', **folder, help='folder of data sets')
    parser.add_argument('--runs', type=Path, default=Path('proof_runs'))
    parser.add_argument('--only', nargs='+', choices=NETWORKS)
    parser.add_argument('--json', type=Path, default='results/proof.json')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    group = parser.add_argument_group('if not as the network says')
    group.add_argument('--images', type=int, help='judged as they are')
    group.add_argument('--fit-images', type=int, help='of a fit')
    group.add_argument('--shift-images', type=int, help='of each shift')
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    questions = [args.question]
    if args.question == ALL:
        questions = [q for q in QUESTIONS if q not in CHOICES or not args.only]
    for question in questions:
        answer = QUESTIONS[question](args)
        for name in OF_SCORES if question == 'scores' else [question]:
            if name in TABLES:  # as the docs have it
                print(f'\n{name}\n\n{TABLES[name](answer)}')
        there = json.loads(args.json.read_text()) if args.json.exists() else {}
        write_json(args.json, merge(there, answer))


if __name__ == '__main__':
    cli.run(main)
