"""Do two parts of a feature see more than the whole?

The feature of a density is split in two: what the classifier reads and the
rest (`row_space`, `null_space`), or the directions of most variance and the
others (`pca_top`, `pca_bottom`). Each part has a density of its own, and both
are added as surprises. `simulation` does so with drawn vectors, of which one
half of the unknown ones differs in the few directions that tell classes apart
and one half in the others; `networks` on networks that nobody tuned on.

  python -m benchmarks.training.decomposition simulation
  python -m benchmarks.training.decomposition networks \\
      --networks A --weights B --data C
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from benchmarks.answers import add_answer
from benchmarks.proof.figures import (
    error_figures,
    mean_and_std,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.judged_pixels import plain_and_moved, scoring
from benchmarks.proof.kept_answers import KeptAnswer
from benchmarks.proof.networks import NETWORKS, Network, files
from benchmarks.proof.pixel_scores import CONSTANT
from benchmarks.tables import markdown_table
from benchmarks.training.simulated_parts import simulate
from benchmarks.training.trainings import add_places
from mmseg_ddu.apis import cli, fit_gda, init_ddu

FOREIGN = ('deeplabv3_mnv2_voc21', 'cgnet_camvid11', 'upernet_mnv2_camvid9')
# All of the direction of the feature, as the default density.
HEADS: dict[str, dict] = dict(
    row_space=dict(transform=['direction', 'row_space']),
    null_space=dict(transform=['direction', 'null_space']),
    pca_top=dict(density='pca_top'),
    pca_bottom=dict(density='pca_bottom'),
)
SUMS = {
    'row_space + null_space': ('row_space', 'null_space'),
    'pca_top + pca_bottom': ('pca_top', 'pca_bottom'),
}
ROWS = {name: name for name in (*HEADS, *SUMS)} | {
    'epistemic': 'direction',
    'aleatoric': 'entropy',
    'energy': 'energy',
    CONSTANT: CONSTANT,
    'random': 'random',
}


def fitted_parts(network: Network, seed: int, args) -> tuple[Path, Path]:
    """Config, and a checkpoint with a density of each part."""
    config, weights = files(network, args.networks, args.weights, args.data)
    fitted = args.runs / f'{weights.stem}_{seed}_parts_gda.pth'
    if not fitted.exists():
        options = dict(seed=seed, max_images=args.fit_images)
        fit_gda(config, weights, fitted, extra_heads=HEADS, **options)
    return config, fitted


def add_sums(scores: dict[str, Tensor], model: nn.Module) -> None:
    """Rows of two densities, each as its surprise, added."""
    for name, parts in SUMS.items():
        one, other = (
            model.surprises[f'epistemic_{part}'](scores[part])
            for part in parts
        )
        scores[name] = one + other


def judge_parts(network: Network, seed: int, args) -> dict:
    """Row to figures, for one seed of the fit and of the pixels."""
    model = init_ddu(*fitted_parts(network, seed, args))
    test = model.cfg.test_dataloader.dataset
    plain, moved = plain_and_moved(test, scoring(model, seed), args)
    for pixels in (plain, *moved.values()):
        add_sums(pixels.scores, model)
    return {
        name: dict(
            errors=error_figures(plain, row)['errors'],
            **{
                f'unknown_{kind}': unknown_figures(plain, row, values)['auroc']
                for kind, values in network.unknown.items()
            },
            shifts=shift_figures(plain, moved, row)['shifts_mean'],
        )
        for row, name in ROWS.items()
    }


def networks(args) -> dict:
    """Network to row to the mean of its seeds."""
    args.runs.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in args.only or FOREIGN:
        runs = []
        for seed in args.seeds:
            file = args.runs / f'{name}_{seed}_parts.json'
            given = NETWORKS[name], seed, args
            runs.append(KeptAnswer(file, judge_parts, given).kept())
        found[name] = mean_and_std(runs)
        print(f'\n{name}\n\n{table(found[name])}\n')
    keys = ('seeds', 'fit_images', 'images', 'shift_images')
    return dict(found, set_up={key: getattr(args, key) for key in keys})


def simulation(args) -> dict:
    """Kind of unknown vectors to row to AUROC, mean of the seeds."""
    found = mean_and_std([simulate(seed) for seed in range(5)])
    print(table(found))
    return dict(simulation=found)


def table(found: Mapping[str, dict]) -> str:
    """A row for each score."""
    columns = [k for k in next(iter(found.values())) if k[-4:] != '_std']
    rows = [
        [name, *(f'{e[k]:.3f} ± {e[f"{k}_std"]:.3f}' for k in columns)]
        for name, e in found.items()
    ]
    return markdown_table(['score', *columns], rows)


QUESTIONS = dict(simulation=simulation, networks=networks)


def main() -> None:
    program = 'python -m benchmarks.training.decomposition'
    parser = cli.parser(__doc__, f'{program} simulation')
    kinds = parser.add_subparsers(dest='question', required=True)
    for name, question in QUESTIONS.items():
        own = kinds.add_parser(name, help=question.__doc__)
        own.add_argument(
            '--json', type=Path, default=Path('results/decomposition.json')
        )
        if name == 'networks':
            add_places(own)
            add = own.add_argument
            add('--only', nargs='+', choices=FOREIGN)
            add('--seeds', type=int, nargs='+', default=[0, 1])
            add('--fit-images', type=int, default=100)
            add('--images', type=int, default=40, help='plain (40)')
            add('--shift-images', type=int, default=10, help='a shift (10)')
    args = parser.parse_args()
    answer = QUESTIONS[args.question](args)
    add_answer(args.json, answer)


if __name__ == '__main__':
    cli.run(main)
