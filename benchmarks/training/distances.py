"""What the features of networks that nobody tuned on keep of an image.

`tools/check_distances.py` on some validation images of each, for the feature
of the density and the first and last output of the backbone. Pictures of the
counter-examples are in RUNS/NETWORK_distances.

  python -m benchmarks.training.distances --networks A --weights B --data C
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from mmengine.registry import init_default_scope

from benchmarks.proof.kept_answers import KeptAnswer
from benchmarks.proof.networks import NETWORKS, Network
from benchmarks.tables import markdown_table
from benchmarks.training.decomposition import FOREIGN, fitted_parts
from benchmarks.training.trainings import add_places
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.distance_check import check_distances
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.fitting_data import image_names, seeded_order
from mmseg_ddu.fileio import write_json
from mmseg_ddu.registry import DATASETS

TAPS = ['penultimate', 'backbone[0]', 'backbone[-1]']
SEARCH = ('taps', 'size', 'products')


def judge_distances(network: Network, out: Path, args) -> dict:
    """Tap to what the tool says of it, without the names of images."""
    config, fitted = fitted_parts(network, 0, args)
    cfg = read_config(config)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    dataset.full_init()
    names = image_names(dataset)
    chosen = [names[i] for i in seeded_order(len(names), 0)[: args.images]]
    options = {key: getattr(args, key) for key in SEARCH}
    options['number'] = args.images
    answers = check_distances(config, fitted, chosen, out, **options)
    for figures in answers.values():
        for name, by_image in figures['flattest'].items():
            if isinstance(by_image, Mapping):
                figures['flattest'][name] = list(by_image.values())
    return answers


def table(found: Mapping[str, dict]) -> str:
    """A row for each network and tap."""
    rows = []
    for network, taps in found.items():
        for tap, figures in taps.items():
            pairs, flattest = figures['pairs'], figures['flattest']
            bands = figures['bands']
            ratios = [pairs['min'], pairs['max'], bands[0], bands[3], bands[7]]
            ratios.append(median(flattest['ratios']))
            share = f'{sum(flattest["bands"][:2]):.0%}'
            values = f'{figures["values_per_input"]:.3g}'
            numbers = [f'{ratio:.3g}' for ratio in ratios]
            rows.append([network, tap, values, *numbers, share])
    header = [
        *('network', 'tap', 'values', 'pairs min', 'pairs max', 'band 1'),
        *('band 4', 'band 8', 'found', 'of it in bands 1, 2'),
    ]
    return markdown_table(header, rows)


def main() -> None:
    program = 'python -m benchmarks.training.distances'
    parser = cli.parser(__doc__, f'{program} …')
    add_places(parser)
    add = parser.add_argument
    add('--only', nargs='+', choices=FOREIGN, default=[*FOREIGN])
    add('--fit-images', type=int, default=100)
    add('--images', type=int, default=2, help='most images (2)')
    add('--size', type=int, default=64, help='side of the squares (64)')
    add('--products', type=int, default=1000, help='of a search (1000)')
    add('--taps', nargs='+', default=TAPS)
    add('--json', type=Path, default=Path('results/distances.json'))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    there = json.loads(args.json.read_text()) if args.json.exists() else {}
    for name in args.only:
        file = args.runs / f'{name}_distances.json'
        out = file.with_suffix('')
        given = NETWORKS[name], out, args
        settings = {key: getattr(args, key) for key in SEARCH}
        there[name] = KeptAnswer(file, judge_distances, given, settings).kept()
        write_json(args.json, there)
    print(table(there))


if __name__ == '__main__':
    cli.run(main)
