"""Whether an alarm of the novelty can tell noise from colours.

The rule, written before it was run. The statistics of an image, of which the
novelty is the distance, are summed up in four signed numbers, each in
standard deviations of the training images (these follow from what a fit
stores):

  brightness      mean of the channels
  contrast        log variance of means over 16 x 16 pixels
  colour          log variance of differences between channels, less contrast
  fine structure  log variance of details of 1 pixel, less that of 8 pixels

The two that are differences do not change where all values are scaled. An
alarm of the novelty names the number whose mean over the images since the
change is farthest from its mean before. It is right if that is fine structure
behind noise, blur and compression, and another one behind changes of light and
colour. It is built into the monitor if it is right in 9 of 10 alarms of
either kind on both data sets.

Streams: 100 test images as a reference, 200 ordinary ones, then changed ones
up to the first alarm of the novelty; all drawn with replacement.

  python -m benchmarks.decisions.alarm_causes --data DATA
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from benchmarks.decisions.cell_features import standardized
from benchmarks.decisions.drift import RATE, REFERENCE
from benchmarks.decisions.drift_rows import dusk, images, spread
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli
from mmseg_ddu.core.drift import DriftDetector
from mmseg_ddu.core.image_statistics import LEVELS, ImageStatistics
from mmseg_ddu.datasets import SHIFTS
from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.image_novelty import ImageNovelty

NAMES = ('brightness', 'contrast', 'colour', 'fine structure')
FINE = NAMES.index('fine structure')
CHANNELS = 3
BEFORE, MOST, SEEDS = 200, 1000, 20  # images, images, streams
TRAINING = {
    'voc21': ('voc21/JPEGImages', 'voc21/ImageSets/Segmentation/train.txt'),
    'camvid': ('camvid/images/train', None),
}


def faint_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return SHIFTS['noisy'].function(image, rng, sigma=10.0)


STRUCTURE: dict[str, Callable] = {
    'faint_noise': faint_noise,
    **{k: SHIFTS[k].function for k in ('noisy', 'jpeg', 'blur')},
    'motion_blur': SHIFTS['motion_blur'].function,
}
COLOURS: dict[str, Callable] = {
    'dusk': dusk,
    **{k: SHIFTS[k].function for k in ('low_contrast', 'gray', 'inverted')},
}


def contrasts() -> np.ndarray:
    """(S, 4): what is summed up of :class:`ImageStatistics`."""
    size = ImageStatistics(CHANNELS).size
    parts = np.zeros((2 + LEVELS, size))
    for part in range(2 + LEVELS):  # means, coarse, details of 1, 2, 4, 8
        parts[part, part * CHANNELS : (part + 1) * CHANNELS] = 1 / CHANNELS
    colour = np.zeros(size)
    colour[-(CHANNELS - 1) :] = 1 / (CHANNELS - 1)
    rows = [parts[0], parts[1], colour - parts[1], parts[2] - parts[-1]]
    return np.stack(rows, 1)


def statistics(paths: list[Path], change: Callable | None) -> torch.Tensor:
    """Of images, changed or not, (N, S)."""
    measure, rows = ImageStatistics(CHANNELS), []
    for number, path in enumerate(track(paths, 'Statistics')):
        pixels = cv2.imread(str(path))
        if change:
            pixels = change(pixels, np.random.default_rng(number))
        rows.append(measure(standardized(pixels[..., ::-1]))[0])
    return torch.stack(rows)


def causes(
    plain: tuple[np.ndarray, np.ndarray],
    changed: tuple[np.ndarray, np.ndarray],
) -> list[int]:
    """What the first alarms of streams name.

    Args:
        plain, changed (tuple): Distances, (N,), and the four numbers, (N, 4).
    """
    found = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([4, seed])
        reference, before, after = (
            rng.integers(len(part[0]), size=size)
            for part, size in (
                (plain, REFERENCE),
                (plain, BEFORE),
                (changed, MOST),
            )
        )
        distances = np.concatenate([plain[0][before], changed[0][after]])
        looks = np.concatenate([plain[1][before], changed[1][after]])
        ordinary = plain[0][reference][:, None]
        detector = DriftDetector([1.0], RATE / 3, ordinary, seed)
        for number, distance in enumerate(distances):
            step = detector.update(distance[None])
            if step.alarms and number >= BEFORE:
                start = step.since[0]
                usual = np.concatenate([plain[1][reference], looks[:start]])
                gap = looks[start : number + 1].mean(0) - usual.mean(0)
                found.append(int(np.abs(gap).argmax()))
                break
    return found


def measure(data: Path, name: str) -> dict:
    """Change to how many of its alarms name what."""
    folder, listed = TRAINING[name]
    training = sorted((data / folder).glob('*.jpg'))
    if listed:
        names = (data / listed).read_text().split()
        training = [path for path in training if path.stem in names]
    vectors = statistics(spread(training, 300), None)
    novelty = ImageNovelty(CHANNELS)
    novelty.fit(vectors)
    known = vectors.double().numpy() @ contrasts()
    mean, std = known.mean(0), known.std(0)

    def seen(paths: list[Path], change: Callable | None = None) -> tuple:
        rows = statistics(paths, change)
        looks = (rows.double().numpy() @ contrasts() - mean) / std
        return novelty.distances(rows).numpy(), looks

    tests = images(data, name)
    plain = seen(spread(tests, 240))
    result = {}
    for kind, change in {**STRUCTURE, **COLOURS}.items():
        found = causes(plain, seen(spread(tests, 40), change))
        right = [(each == FINE) == (kind in STRUCTURE) for each in found]
        result[kind] = dict(
            alarms=len(found),
            right=sum(right),
            named={n: found.count(i) for i, n in enumerate(NAMES)},
        )
    return result


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.decisions.alarm_causes …'
    )
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument(
        '--json', type=Path, default=Path('results/decisions.json')
    )
    args = parser.parse_args()
    answer = {name: measure(args.data, name) for name in TRAINING}
    there = json.loads(args.json.read_text()) if args.json.exists() else {}
    there.setdefault('drift', {})['alarm_causes'] = answer
    write_json(args.json, there)
    for name, kinds in answer.items():
        rows = [
            [
                kind,
                f'{row["right"]} of {row["alarms"]}',
                *row['named'].values(),
            ]
            for kind, row in kinds.items()
        ]
        head = ['change', 'right', *NAMES]
        print(f'\n{name}\n\n{markdown_table(head, rows)}')


if __name__ == '__main__':
    cli.run(main)
