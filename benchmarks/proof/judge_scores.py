"""How well every score of one network ranks pixels, for one seed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mmengine.registry import init_default_scope
from rich.progress import track
from torch import nn

from benchmarks.proof import foreign_data
from benchmarks.proof.figures import (
    SHIFT_KINDS,
    error_figures,
    other_figures,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.members import sampling_methods, trained_members
from benchmarks.proof.networks import Network, files
from benchmarks.proof.pixel_scores import score_pixels
from benchmarks.proof.training_statistics import (
    TrainingStatistics,
    training_statistics,
)
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.datasets.shifts import shifted
from mmseg_ddu.engine.fitting_data import (
    SeededSubset,
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.models.map_names import MAPS

PIXELS, SHIFTED_PIXELS = 2000, 1000  # of an image


class Fitted(NamedTuple):
    """A fitted network, and what the scores of others need."""

    model: nn.Module
    statistics: TrainingStatistics
    peers: dict[str, nn.Module]


def fitted_network(network: Network, seed: int, args) -> Fitted:
    """The network of one seed of the fit, made where there is none."""
    config, weights = files(network, args.networks, args.weights, args.data)
    peers = {}
    if network.members:
        members = trained_members(config, weights, network.members, args.runs)
        weights = members[seed % len(members)]
        peers = sampling_methods(config, weights, members)
    name = Path(network.weights if not peers else config).stem
    fitted = args.runs / f'{name}_{seed}_gda.pth'
    options = dict(seed=seed, max_images=args.fit_images)
    if not fitted.exists():
        paper = dict(paper=dict(preset='ddu-paper'))
        fit_gda(config, weights, fitted, extra_heads=paper, **options)
    model = init_ddu(config, fitted)
    init_default_scope(model.cfg.get('default_scope', 'mmseg'))
    training = SeededSubset(
        fitting_dataset(fitting_dataset_config(model.cfg)),
        args.fit_images or 10**9,
        seed,
    )
    return Fitted(model, training_statistics(model, training, seed), peers)


def sets_of_unknown(
    network: Network, test: dict, data: Path
) -> dict[str, tuple[dict, tuple[int, ...]]]:
    """Name to a data set, and what unknown objects are in its masks."""
    sets = {name: (test, values) for name, values in network.unknown.items()}
    if 'CAMVID' in network.data:
        roads = foreign_data.road_anomaly(data, test['pipeline'])
        sets['road_anomaly'] = roads, (foreign_data.ANOMALY,)
    return sets


def judge_scores(network: Network, seed: int, args) -> dict:
    """Row to figures, for one seed of the fit and of the pixels."""
    model, statistics, peers = fitted_network(network, seed, args)
    test = model.cfg.test_dataloader.dataset

    def scores(dataset: dict, images: int, pixels: int):
        return score_pixels(
            model, dataset, statistics, images, pixels, seed, peers
        )

    plain = scores(test, args.images, PIXELS)
    moved = {
        kind: scores(shifted(test, kind), args.shift_images, SHIFTED_PIXELS)
        for kind in track(SHIFT_KINDS, 'Shifts')
    }
    other = getattr(foreign_data, network.other)
    other = scores(
        other(args.data, test.pipeline), args.shift_images, SHIFTED_PIXELS
    )
    unknown = {
        name: (
            plain if data is test else scores(data, args.images, PIXELS),
            values,
        )
        for name, (data, values) in sets_of_unknown(
            network, test, args.data
        ).items()
    }
    rows = {
        row: dict(
            **error_figures(plain, row),
            **shift_figures(plain, moved, row),
            **other_figures(plain, other, row),
            unknown={
                name: unknown_figures(pixels, row, values)
                for name, (pixels, values) in unknown.items()
            },
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


def score_table(rows: dict) -> str:
    """The main figures of one network, a row for each score."""
    sets = list(next(iter(rows.values()))['unknown'])
    keys = ('errors', 'pui80', 'shifts_mean', 'other_data', 'images_mean')
    lines = []
    for row, entry in rows.items():
        values = [(entry[key], entry[f'{key}_std']) for key in keys]
        for name in sets:
            unknown = entry['unknown'][name]
            values.append((unknown['auroc'], unknown['auroc_std']))
        lines.append([row, *[f'{m:.3f} ± {s:.3f}' for m, s in values]])
    return markdown_table(['score', *keys, *sets], lines)
