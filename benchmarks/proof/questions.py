"""The questions of the proof: what is measured, and what it answers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
from benchmarks.proof.judge_scores import judge_scores, trainings
from benchmarks.proof.judge_seeds import judge_seeds
from benchmarks.proof.judge_time import judge_time
from benchmarks.proof.kept_answers import SETTINGS, KeptAnswer
from benchmarks.proof.networks import NETWORKS, Network

FEW = 100  # images of a fit, if nothing else is said, for the seeds
Found = Mapping[Any, dict]  # key of a part to its answer


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


def parts_of_scores(args) -> dict[Any, KeptAnswer]:
    return {
        (name, seed): KeptAnswer(
            args.runs / f'{name}_{seed}.json',
            judge_scores,
            (NETWORKS[name], seed, of_network(args, NETWORKS[name])),
        )
        for name in args.only or NETWORKS
        for seed in args.seeds
    }


def scores(found: Found, args) -> dict:
    """Network to the mean of its seeds."""
    networks = {
        name: mean_and_std([found[name, seed] for seed in args.seeds])
        for name in args.only or NETWORKS
    }
    return dict(
        networks={n: dict(**m, seeds=args.seeds) for n, m in networks.items()}
    )


def parts_of_sample(args) -> dict[Any, KeptAnswer]:
    own = of_network(args, SAMPLE)
    return {
        seed: KeptAnswer(
            args.runs / f'sample_{seed}.json',
            judge_sample,
            (SAMPLE, seed, own),
        )
        for seed in args.seeds
    }


def sample(found: Found, args) -> dict:
    """Row to the mean of its seeds."""
    rows = mean_and_std([*found.values()])
    return dict(sample=dict(rows=rows, seeds=args.seeds))


def _of_first_seed(ending: str, measure: Callable[..., dict]):
    def parts(args) -> dict[Any, KeptAnswer]:
        seed = args.seeds[0]
        return {
            name: KeptAnswer(
                args.runs / f'{name}_{ending.format(seed)}.json',
                measure,
                (NETWORKS[name], seed, of_network(args, NETWORKS[name])),
            )
            for name in args.only or NETWORKS
        }

    return parts


def components(found: Found, args) -> dict:
    """Network to the components of its unknown objects, first seed."""
    return dict(components=dict(found))


def milliseconds(found: Found, args) -> dict:
    """Network to the time of each row, first seed."""
    return dict(
        networks={
            name: dict(rows={row: dict(ms=t) for row, t in times.items()})
            for name, times in found.items()
        }
    )


def parts_of_seeds(args) -> dict[Any, KeptAnswer]:
    number = args.fit_images or FEW
    changes = dict(images=40, shift_images=8, fit_images=number)
    parts = {}
    for name in alone(args):
        own = of_network(args, NETWORKS[name], **changes)
        file = args.runs / f'{name}_{number}_seeds.json'
        parts[name] = KeptAnswer(
            file, judge_seeds, (NETWORKS[name], number, own)
        )
    return parts


def seeds(found: Found, args) -> dict:
    """Network to the spread of its figures over four fits."""
    number = args.fit_images or FEW
    return {'seeds': {f'{number} images': dict(found)}}


def parts_of_defaults(args) -> dict[Any, KeptAnswer]:
    return {
        name: KeptAnswer(
            args.runs / f'{name}_choice.json',
            judge_settings,
            (NETWORKS[name], name, args),
        )
        for name in every_network(args)
    }


def defaults(found: Found, args) -> dict:
    """What each network would choose, and what it rests on."""
    chosen = leave_one_out(found)
    print(choice_table(chosen))
    return dict(choice=chosen, choice_answers=dict(found))


def parts_of_calibration(args) -> dict[Any, KeptAnswer]:
    return {
        name: KeptAnswer(
            args.runs / f'{name}_calibration.json',
            judge_ways,
            (NETWORKS[name], args),
        )
        for name in every_network(args)
    }


def calibration(found: Found, args) -> dict:
    """Network to what ways to calibrate give."""
    print(way_table(found))
    others = {
        name: chosen_way({k: v for k, v in found.items() if k != name})
        for name in found
        if len(found) > 1
    }
    chosen = dict(others, none=chosen_way(found))
    return dict(choice=dict(calibration=chosen), calibration=dict(found))


class Question(NamedTuple):
    """What is measured for it, and what comes of the answers."""

    parts: Callable[..., dict[Any, KeptAnswer]]
    answer: Callable[..., dict]


QUESTIONS = dict(
    scores=Question(parts_of_scores, scores),
    sample=Question(parts_of_sample, sample),
    components=Question(
        _of_first_seed('{}_components', judge_components), components
    ),
    seeds=Question(parts_of_seeds, seeds),
    ms=Question(_of_first_seed('ms', judge_time), milliseconds),
    defaults=Question(parts_of_defaults, defaults),
    calibration=Question(parts_of_calibration, calibration),
)
CHOICES = ('defaults', 'calibration')  # not of some networks alone


def work_of(asked: Mapping[str, Mapping[Any, KeptAnswer]], args) -> dict:
    """File to what makes it, of all questions; trainings, long, come first.

    Raises:
        ValueError: If one that is there is of other settings.
    """
    work: dict[Path, Callable[[], object]] = {}
    for name in args.only or NETWORKS:
        network = NETWORKS[name]
        if network.members and {'scores', 'components', 'ms'} & set(asked):
            work.update(trainings(network, args))
    for parts in asked.values():
        for part in parts.values():
            if part.file.exists():
                part.answer()
            work[part.file] = part.make
    return work
