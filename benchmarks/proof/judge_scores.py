"""How well every score of one network ranks pixels, for one seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmengine.registry import init_default_scope
from torch import nn

from benchmarks.proof import foreign_data
from benchmarks.proof.figures import (
    error_figures,
    other_figures,
    shift_figures,
    unknown_by_set,
)
from benchmarks.proof.judged_pixels import (
    SHIFTED_PIXELS,
    plain_and_moved,
    scoring,
    unknown_pixels,
)
from benchmarks.proof.members import member_configs, sampling_methods
from benchmarks.proof.networks import Network, files
from benchmarks.proof.resumed_training import SECONDS, trained
from benchmarks.proof.shared_work import share
from benchmarks.proof.training_statistics import (
    TrainingStatistics,
    training_statistics,
)
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.engine.fitting_data import (
    SeededSubset,
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.models.map_names import MAPS


class Fitted(NamedTuple):
    """A fitted network, and what the scores of others need."""

    model: nn.Module
    statistics: TrainingStatistics
    peers: dict[str, nn.Module]


def trainings(network: Network, args) -> dict[Path, Callable[[], Path]]:
    """File that says a member is trained to what gives its checkpoint."""
    config, weights = files(network, args.networks, args.weights, args.data)
    members = member_configs(config, weights, network.members, args.runs)
    return {
        folder / SECONDS: partial(trained, cfg, folder)
        for folder, cfg in members.items()
    }


def fitted_network(network: Network, seed: int, args) -> Fitted:
    """The network of one seed of the fit, made where there is none."""
    config, weights = files(network, args.networks, args.weights, args.data)
    peers = {}
    if network.members:
        work = trainings(network, args)
        share(work)
        members = [checkpoint() for checkpoint in work.values()]
        weights = members[seed % len(members)]
        peers = sampling_methods(config, weights, members)
    name = Path(network.weights if not peers else config).stem
    number = args.fit_images or 'all'
    fitted = args.runs / f'{name}_{seed}_{number}_gda.pth'
    options = dict(
        seed=seed,
        max_images=args.fit_images,
        extra_heads=dict(paper=dict(preset='ddu-paper')),
    )
    share({fitted: partial(fit_gda, config, weights, fitted, **options)})
    model = init_ddu(config, fitted)
    init_default_scope(model.cfg.get('default_scope', 'mmseg'))
    training = SeededSubset(
        fitting_dataset(fitting_dataset_config(model.cfg)),
        args.fit_images or 10**9,
        seed,
    )
    return Fitted(model, training_statistics(model, training, seed), peers)


def judge_scores(network: Network, seed: int, args) -> dict:
    """Row to figures, for one seed of the fit and of the pixels."""
    model, statistics, peers = fitted_network(network, seed, args)
    test = model.cfg.test_dataloader.dataset

    score = scoring(model, seed, statistics=statistics, peers=peers)
    plain, moved = plain_and_moved(test, score, args)
    other = getattr(foreign_data, network.other)(args.data, test.pipeline)
    other = score(other, number=args.shift_images, pixels=SHIFTED_PIXELS)
    unknown = unknown_pixels(network, test, plain, score, args)
    rows = {
        row: dict(
            **error_figures(plain, row),
            **shift_figures(plain, moved, row),
            **other_figures(plain, other, row),
            **unknown_by_set(unknown, row),
        )
        for row in plain.scores
    }
    above = {
        name: float(
            (model.percentile(name, plain.scores[name][plain.known]) > 0.95)
            .float()
            .mean()
        )
        for name in MAPS
    }
    return dict(rows=rows, above_95=above)
