"""Fit every network with several seeds, and judge every score on it.

Each network and seed is one file in the folder of runs, so an interrupted
proof goes on where it was. When all are there, ``results/proof.json`` is
written and its tables are printed.

  python -m benchmarks.proof --networks NETWORKS --weights WEIGHTS --data DATA
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from mmengine.registry import init_default_scope
from rich.progress import track

from benchmarks.proof import foreign_data
from benchmarks.proof.figures import (
    error_figures,
    mean_and_std,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.networks import NETWORKS, Network, files
from benchmarks.proof.pixel_scores import ROWS, score_pixels
from benchmarks.proof.training_statistics import training_statistics
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli, fit_gda, init_ddu
from mmseg_ddu.datasets.shifts import SHIFTS, shifted
from mmseg_ddu.engine.fitting_data import (
    SeededSubset,
    as_batch,
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.fileio import write_json

OTHER = 'other_data'
LEFT_OUT = ('upside_down',)  # leaves every texture as it is
PIXELS, SHIFTED_PIXELS = 2000, 1000  # of an image


def run(network: Network, seed: int, args, folder: Path) -> dict:
    """Row to figures, for one seed of the fit and of the pixels."""
    config, weights = files(network, args.networks, args.weights, args.data)
    fitted = folder / f'{weights.stem}_{seed}_gda.pth'
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
    loader = track(
        (as_batch(training[i]) for i in range(len(training))),
        'Training features',
        total=len(training),
    )
    statistics = training_statistics(model, loader, seed)
    test = model.cfg.test_dataloader.dataset

    def scores(dataset: dict, images: int, pixels: int):
        return score_pixels(model, dataset, statistics, images, pixels, seed)

    start = time.perf_counter()
    plain = scores(test, args.images, PIXELS)
    seconds = time.perf_counter() - start
    kinds = [kind for kind in SHIFTS if kind not in LEFT_OUT]
    moved = {
        kind: scores(shifted(test, kind), args.shift_images, SHIFTED_PIXELS)
        for kind in track(kinds, 'Shifts')
    }
    other = getattr(foreign_data, network.other)
    moved[OTHER] = scores(
        other(args.data, test.pipeline), args.shift_images, SHIFTED_PIXELS
    )
    moved[OTHER].foreign = True
    unknown = {
        name: (plain, values) for name, values in network.unknown.items()
    }
    if 'CAMVID' in network.data:
        roads = foreign_data.road_anomaly(args.data, test.pipeline)
        unknown['road_anomaly'] = (
            scores(roads, args.images, PIXELS),
            (foreign_data.ANOMALY,),
        )
    rows = {
        row: dict(
            **error_figures(plain, row),
            **shift_figures(plain, moved, row),
            unknown={
                name: unknown_figures(pixels, row, values)
                for name, (pixels, values) in unknown.items()
            },
        )
        for row in ROWS
    }
    above = {
        name: float(
            (model.percentile(name, plain.scores[name][plain.known]) > 0.95)
            .float()
            .mean()
        )
        for name in ('aleatoric', 'epistemic', 'total')
    }
    return dict(rows=rows, above_95=above, judged_s=dict(all=seconds))


def table(rows: dict) -> str:
    """The main figures of one network, a row for each score."""
    sets = list(next(iter(rows.values()))['unknown'])
    header = ['score', 'errors', 'pui80', *sets, 'shifts', 'images']
    lines = []
    for row, entry in rows.items():
        values = [
            (entry['errors'], entry['errors_std']),
            (entry['pui80'], entry['pui80_std']),
            *[
                (
                    entry['unknown'][s]['auroc'],
                    entry['unknown'][s]['auroc_std'],
                )
                for s in sets
            ],
            (entry['shifts_mean'], entry['shifts_mean_std']),
            (entry['images_mean'], entry['images_mean_std']),
        ]
        lines.append([row, *[f'{m:.3f} ± {s:.3f}' for m, s in values]])
    return markdown_table(header, lines)


def main() -> None:
    parser = cli.parser(__doc__, 'python -m benchmarks.proof --data DATA …')
    folder = dict(type=Path, required=True)
    parser.add_argument('--networks', **folder, help='folder of configs')
    parser.add_argument('--weights', **folder, help='folder of checkpoints')
    parser.add_argument('--data', **folder, help='folder of data sets')
    parser.add_argument('--runs', type=Path, default=Path('proof_runs'))
    parser.add_argument('--only', nargs='+', choices=NETWORKS)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--images', type=int, default=80, help='plain (80)')
    parser.add_argument('--fit-images', type=int, help='all by default')
    parser.add_argument(
        '--shift-images', type=int, default=20, help='for each shift (20)'
    )
    parser.add_argument('--json', default='results/proof.json')
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    networks = {}
    for name in args.only or NETWORKS:
        runs = []
        for seed in args.seeds:
            file = args.runs / f'{name}_{seed}.json'
            if not file.exists():
                print(f'{name}, seed {seed}')
                write_json(file, run(NETWORKS[name], seed, args, args.runs))
            runs.append(json.loads(file.read_text()))
        networks[name] = dict(**mean_and_std(runs), seeds=args.seeds)
        print(f'\n{name}\n\n{table(networks[name]["rows"])}\n')
    write_json(args.json, dict(networks=networks))


if __name__ == '__main__':
    cli.run(main)
