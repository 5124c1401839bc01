"""Does choosing images by a map save labels?

Rounds of labelling, on a backbone that stays as ImageNet left it and a
linear classifier of its cells that is trained anew in each round. All
strategies begin with the same random images; each round adds as many.
In a second pool one image in ten is junk: noise, dark or out of focus.

  python -m benchmarks.decisions.active_learning --weights A --data B
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.answers import add_answer
from benchmarks.decisions.cell_features import (
    Cells,
    backbone,
    project,
    read_cells,
    with_junk,
)
from benchmarks.decisions.pool_scores import rows_of, scores_of
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.ranking.choice import choose
from mmseg_ddu.apis.ranking.exported_images import RARE, overlap_weight
from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.core.metrics.metric import VOID

ROUNDS, STEP = 5, 20  # images
JUNK = 0.1
TRAINING_STEPS, BATCH = 400, 4096


class Strategy(NamedTuple):
    """What ``rank_images`` is asked for; without a score, chance."""

    score: str | None
    rare: float | None = None  # of the overlap weight; None without
    strange: str = 'strange'  # percentile that the weight falls with
    temperature: float = 0.0
    diverse: bool = False


STRATEGIES = {
    'random': Strategy(None),
    'entropy': Strategy('entropy'),
    'epistemic': Strategy('epistemic'),
    'total': Strategy('total'),
    'total, drawn': Strategy('total', temperature=0.25),
    'total, overlap': Strategy('total', rare=RARE),
    'total, overlap from 1 in 10': Strategy('total', rare=0.1),
    # Causal-BALD's log(t (1 - p) + (1 - t) p), added to the log of the score,
    # for images that are not labelled (t = 0): a factor p.
    'total, overlap from all': Strategy('total', rare=1.0),
    'total, density from all': Strategy(
        'total', rare=1.0, strange='epistemic'
    ),
    'total, diverse': Strategy('total', diverse=True),
    'total, overlap, diverse': Strategy('total', rare=RARE, diverse=True),
}


def camvid(data: Path) -> tuple[list, list, tuple, np.ndarray]:
    """Pool, test, size, and the class of each value of a mask."""
    parts = []
    for split in ('train', 'test'):
        masks = sorted((data / 'camvid' / 'labels' / split).glob('*.png'))
        images = data / 'camvid' / 'images' / split
        parts.append([(images / f'{m.stem}.jpg', m) for m in masks])
    table = np.full(256, VOID, np.uint8)
    table[:11] = np.arange(11)
    return parts[0], parts[1], (480, 352), table


def voc_animals(data: Path) -> tuple[list, list, tuple, np.ndarray]:
    """The same of VOC animals, five classes."""
    root = data / 'voc_animals'
    parts = []
    for split in ('train', 'val'):
        names = (root / f'ImageSets/Segmentation/{split}.txt').read_text()
        parts.append(
            [
                (
                    root / 'JPEGImages' / f'{name}.jpg',
                    root / 'SegmentationClassAug' / f'{name}.png',
                )
                for name in names.split()
            ]
        )
    table = np.full(256, VOID, np.uint8)
    table[[0, 8, 10, 12, 15]] = np.arange(5)
    return parts[0], parts[1], (320, 320), table


DATA = dict(camvid=camvid, voc_animals=voc_animals)


def train_classifier(
    features: Tensor, labels: Tensor, classes: int, seed: int
) -> nn.Linear:
    """A softmax regression, (N, D) and (N,)."""
    torch.manual_seed(seed)
    model = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=0.01,
        weight_decay=1e-4,
    )
    for _ in range(TRAINING_STEPS):
        some = torch.randint(len(features), (BATCH,))
        loss = nn.functional.cross_entropy(model(features[some]), labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def next_images(
    strategy: Strategy, scores: dict[str, Tensor], rest: list[int], seed: int
) -> list[int]:
    """What is labelled in the next round."""
    if strategy.score is None:
        order = np.random.default_rng(seed).permutation(len(rest))
        return [rest[i] for i in order[:STEP]]
    values = scores[strategy.score]
    if strategy.rare:
        strange = scores[strategy.strange].tolist()
        weights = [overlap_weight(each, strategy.rare) for each in strange]
        values = values * torch.tensor(weights)
    images = [
        RankedImage(str(index), float(value), (1, 1), lambda: np.zeros(1))
        for index, value in zip(rest, values)
    ]
    features = scores['features'].numpy() if strategy.diverse else None
    chosen = choose(images, STEP, strategy.temperature, seed, features)
    return [int(each.image) for each in chosen]


@torch.no_grad()
def miou(model: nn.Linear, test: Cells) -> float:
    """Of the cells of the test images."""
    rows, labels = rows_of(test, list(range(len(test))))
    classes = model.out_features
    pairs = labels * classes + model(rows).argmax(1)
    table = pairs.bincount(minlength=classes**2).view(classes, classes)
    inside = table.diagonal().double()
    union = table.sum(0) + table.sum(1) - inside
    return float((inside / union)[union > 0].mean())


def simulate(
    strategy: Strategy, pool: Cells, test: Cells, classes: int, seed: int
) -> dict:
    """mIoU after each round, and the share of junk among what was chosen."""
    rng = np.random.default_rng(seed)
    clean = np.flatnonzero(~pool.junk.numpy())
    labelled = rng.permutation(clean)[:STEP].tolist()
    curve = []
    for number in range(ROUNDS + 1):
        model = train_classifier(*rows_of(pool, labelled), classes, seed)
        curve.append(miou(model, test))
        if number == ROUNDS:
            break
        rest = sorted(set(range(len(pool))) - set(labelled))
        usable = [i for i in labelled if not pool.junk[i]]
        scores = {}
        if strategy.score is not None:
            scores = scores_of(model, pool, usable, rest)
        labelled += next_images(strategy, scores, rest, seed + number)
    chosen = pool.junk[labelled[STEP:]].double().mean()
    return dict(miou=curve, junk=float(chosen))


def summary(runs: list[dict]) -> dict:
    """Mean and standard deviation over seeds."""
    curves = np.array([run['miou'] for run in runs])
    shares = np.array([run['junk'] for run in runs])
    return dict(
        miou=curves.mean(0).tolist(),
        miou_std=curves.std(0).tolist(),
        junk=shares.mean(),
        junk_std=shares.std(),
    )


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.decisions.active_learning …'
    )
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--sets', nargs='+', choices=DATA, default=[*DATA])
    parser.add_argument(
        '--strategies', nargs='+', choices=STRATEGIES, default=[*STRATEGIES]
    )
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument(
        '--json', type=Path, default=Path('results/decisions.json')
    )
    args = parser.parse_args()
    network = backbone(args.weights / 'mobilenet_v2_imagenet.pth')
    pools = {
        key: value
        for name in args.sets
        for key, value in pools_of(network, name, args.data).items()
    }
    for key, pool in pools.items():
        found = {}
        for strategy in args.strategies:
            runs = [
                simulate(STRATEGIES[strategy], *pool, seed)
                for seed in range(args.seeds)
            ]
            found[strategy] = summary(runs)
            add_answer(args.json, found, 'active', key)
        print(f'\n{key}\n\n{curves_table(found)}')


def pools_of(network: nn.Module, name: str, data: Path) -> dict[str, tuple]:
    """Pool, test images and number of classes, without and with junk."""
    files, tests, size, table = DATA[name](data)
    classes = int(table[table != VOID].max()) + 1
    clean = read_cells(network, files, size, table.__getitem__)
    test = read_cells(network, tests, size, table.__getitem__)
    result = {}
    junk = with_junk(network, clean, files, size, JUNK)
    for key, pool in ((name, clean), (f'{name}, junk', junk)):
        mine = replace(test)
        project(pool, [mine])
        result[key] = pool, mine, classes
    return result


def curves_table(found: dict) -> str:
    """A row for each strategy."""
    images = [STEP * (number + 1) for number in range(ROUNDS + 1)]
    lines = []
    for strategy, row in found.items():
        curve = [
            f'{m:.3f} ± {s:.3f}' for m, s in zip(row['miou'], row['miou_std'])
        ]
        lines.append([strategy, *curve, f'{row["junk"]:.0%}'])
    return markdown_table(['strategy', *map(str, images), 'junk'], lines)


if __name__ == '__main__':
    cli.run(main)
