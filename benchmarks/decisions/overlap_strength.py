"""How rare an image has to be to count less as one to label.

Chosen from images that have labels already, without a look at any result
of a simulation. The rule, written before it was run: of the strengths
tried, the softest that takes their weight from broken images and leaves it
to ordinary ones. Broken images keep no more than 2% of it on average,
held-out labelled images at least 90%; if there is no such strength, --overlap
stays as hard as it was (1). On CamVid alone: VOC animals only shows
whether the choice holds elsewhere.

The first 20, 60 and 120 of the training images in a random order are labelled,
three orders; a tenth of them is held out in turn. The broken images are made
from those, in ways that the simulation does not have: overexposed, rows
lost, moved while exposed.

  python -m benchmarks.decisions.overlap_strength --data DATA
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from benchmarks.answers import add_answer
from benchmarks.decisions.active_learning import DATA
from benchmarks.decisions.cell_features import read_pixels, standardized
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.ranking.exported_images import overlap_weight
from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.models.image_novelty import FOLDS, ImageNovelty

STRENGTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MOST_BROKEN, LEAST_ORDINARY = 0.02, 0.9  # of the weight
NUMBERS, SEEDS = (20, 60, 120), 3
CHOSEN_ON = 'camvid'
ORDINARY = 'ordinary'


def overexposed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 255 - rng.poisson(4, pixels.shape).astype(np.uint8)


def rows_lost(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pixels * (rng.random((len(pixels), 1, 1)) < 0.5)


def moved(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.blur(pixels, (pixels.shape[1] // 4, 1))


KINDS: dict[str, Callable] = {
    ORDINARY: lambda pixels, rng: pixels,
    **{each.__name__: each for each in (overexposed, rows_lost, moved)},
}


def statistics(files: list, size: tuple[int, int]) -> dict[str, Tensor]:
    """Of each kind, (N, S)."""
    measure = ImageStatistics(3)
    rng = np.random.default_rng(0)
    found: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    for image, _ in track(files, 'Statistics'):
        pixels = read_pixels(image, size)
        for kind, change in KINDS.items():
            changed = standardized(change(pixels, rng))
            found[kind].append(measure(changed)[0])
    return {kind: torch.stack(rows) for kind, rows in found.items()}


def weights(vectors: dict[str, Tensor], labelled: np.ndarray) -> dict:
    """Kind to strength to mean weight of what is made of held-out images."""
    shares: dict[str, list[float]] = {kind: [] for kind in vectors}
    fold = np.arange(len(labelled)) % FOLDS
    for number in range(FOLDS):
        novelty = ImageNovelty(3)
        novelty.fit(vectors[ORDINARY][labelled[fold != number]])
        for kind, rows in vectors.items():
            distances = novelty.distances(rows[labelled[fold == number]])
            shares[kind] += novelty.percentile(distances).tolist()
    return {
        kind: {
            str(rare): float(np.mean([overlap_weight(p, rare) for p in found]))
            for rare in STRENGTHS
        }
        for kind, found in shares.items()
    }


def measure(data: Path, name: str) -> dict:
    """Number of labelled images to what :func:`weights` says, over seeds."""
    files, _, size, _ = DATA[name](data)
    vectors = statistics(files, size)
    result = {}
    for number in NUMBERS:
        runs = [
            weights(
                vectors,
                np.random.default_rng(seed).permutation(len(files))[:number],
            )
            for seed in range(SEEDS)
        ]
        result[str(number)] = {
            kind: {
                rare: float(np.mean([run[kind][rare] for run in runs]))
                for rare in runs[0][kind]
            }
            for kind in KINDS
        }
    return result


def choose(found: dict) -> float:
    """The rule, over all numbers of labelled images."""
    for rare in STRENGTHS:
        rows = [
            {kind: row[str(rare)] for kind, row in kinds.items()}
            for kinds in found.values()
        ]
        ordinary = np.mean([row.pop(ORDINARY) for row in rows])
        broken = np.mean([[*row.values()] for row in rows])
        if broken <= MOST_BROKEN and ordinary >= LEAST_ORDINARY:
            return rare
    return 1.0


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.decisions.overlap_strength …'
    )
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument(
        '--json', type=Path, default=Path('results/decisions.json')
    )
    args = parser.parse_args()
    answer: dict = {name: measure(args.data, name) for name in DATA}
    answer['chosen'] = choose(answer[CHOSEN_ON])
    add_answer(args.json, {'overlap_strength': answer})
    for name in DATA:
        rows = [
            [number, kind, *(f'{value:.3f}' for value in row.values())]
            for number, kinds in answer[name].items()
            for kind, row in kinds.items()
        ]
        head = ['labelled', 'images', *map(str, STRENGTHS)]
        print(f'\n{name}\n\n{markdown_table(head, rows)}')
    print(f'\nchosen on {CHOSEN_ON}: {answer["chosen"]}')


if __name__ == '__main__':
    cli.run(main)
