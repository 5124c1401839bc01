"""Whether an alarm of the novelty tells noise from colours.

An alarm says whether the fine structure of the images has changed since
(`mmseg_ddu/core/fine_structure.py`). It is right if it says so behind noise,
blur and compression, and denies it behind changes of light and colours.

Six sets: VOC, CamVid, VOC animals (images that are not in VOC) and Road
Anomaly (with the novelty of CamVid) with the shifts of the project; training
images of VOC (with the novelty of VOC animals) and validation images of CamVid
with other changes.

Streams: 100 images as a reference, 200 ordinary ones, then changed ones up to
the first alarm of the novelty; all drawn with replacement.

  python -m benchmarks.decisions.alarm_causes --data DATA
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from rich.progress import track

from benchmarks.answers import add_answer
from benchmarks.decisions.cell_features import standardized
from benchmarks.decisions.drift import RATE, REFERENCE
from benchmarks.decisions.drift_rows import images, spread
from benchmarks.decisions.image_changes import JUDGED, UNSEEN, Change, Changes
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli
from mmseg_ddu.core.drift import DriftDetector
from mmseg_ddu.core.fine_structure import fine_structure, has_changed
from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.models.image_novelty import ImageNovelty

CHANNELS = 3
FIT, PLAIN, CHANGED = 300, 240, 40  # images
BEFORE, MOST, SEEDS = 200, 1000, 20  # images, images, streams
FINE, LIGHT = 'noise, blur, compression', 'light and colours'


def voc(data: Path, name: str, *parts: str) -> list[Path]:
    """Images that the lists of a data set in the form of VOC name."""
    folder = data / name
    lists = [folder / f'ImageSets/Segmentation/{part}.txt' for part in parts]
    names = sorted(stem for each in lists for stem in each.read_text().split())
    return [folder / f'JPEGImages/{stem}.jpg' for stem in names]


def without(paths: list[Path], *others: Path) -> list[Path]:
    stems = {path.stem for path in others}
    return [path for path in paths if path.stem not in stems]


class ImageSet(NamedTuple):
    """What the novelty is fitted on, other images, and their changes."""

    fitted: list[Path]
    others: list[Path]
    changes: Changes


def sets(data: Path) -> dict[str, ImageSet]:
    """Name to set."""
    known = voc(data, 'voc21', 'train', 'val')
    tests = without(voc(data, 'voc_animals', 'val'), *known)
    training = voc(data, 'voc_animals', 'train_aug')
    training = without(training, *known, *tests)
    roads, validation = (
        sorted((data / 'camvid/images' / part).glob('*.jpg'))
        for part in ('train', 'val')
    )
    others = sorted((data / 'road_anomaly/images').glob('*.jpg'))
    rest = without(known, *images(data, 'voc21'))
    parts = [
        ('camvid', roads, images(data, 'camvid'), JUDGED),
        ('camvid_val', roads, validation, UNSEEN),
        ('road_anomaly', roads, others, JUDGED),
        ('voc21', rest, images(data, 'voc21'), JUDGED),
        ('voc21_train', training, rest, UNSEEN),
        ('voc_animals', training, tests, JUDGED),
    ]
    return {name: ImageSet(*part) for name, *part in parts}


class Images(NamedTuple):
    """Distances of the novelty, (N,), and fine structure, (N, 3)."""

    distances: np.ndarray
    fine: np.ndarray


def statistics(paths: list[Path], change: Change | None) -> torch.Tensor:
    """Of images, changed or not, (N, S)."""
    measure, rows = ImageStatistics(CHANNELS), []
    for number, path in enumerate(track(paths, 'Statistics')):
        pixels = cv2.imread(str(path))
        if change:
            pixels = change(pixels, np.random.default_rng(number))
        rows.append(measure(standardized(pixels[..., ::-1]))[0])
    return torch.stack(rows)


class Stream(NamedTuple):
    """Where a stream is before the change."""

    detector: DriftDetector
    fine: np.ndarray  # of the reference, and of the images so far
    rng: np.random.Generator


def begun(plain: Images) -> list[Stream]:
    """Streams of ordinary images, of which the reference is drawn too."""
    streams = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([4, seed])
        reference, before = (drawn(plain, n, rng) for n in (REFERENCE, BEFORE))
        ordinary = reference.distances[:, None]
        detector = DriftDetector([1.0], RATE / 3, ordinary, seed)
        for distance in before.distances:
            detector.update(distance[None])
        fine = np.concatenate([reference.fine, before.fine])
        streams.append(Stream(detector, fine, rng))
    return streams


def answers(streams: list[Stream], changed: Images) -> list[bool | None]:
    """What the first alarm behind the change says, where there is one."""
    found = []
    for stream in streams:
        detector, fine, rng = deepcopy(stream)
        after = drawn(changed, MOST, rng)
        fine = np.concatenate([fine, after.fine])
        for distance in after.distances:
            step = detector.update(distance[None])
            if step.alarms:
                start = REFERENCE + step.since[0]
                end = REFERENCE + detector.seen
                found.append(has_changed(fine[:start], fine[start:end]))
                break
    return found


def drawn(images: Images, size: int, rng: np.random.Generator) -> Images:
    places = rng.integers(len(images.distances), size=size)
    return Images(images.distances[places], images.fine[places])


def measure(part: ImageSet) -> dict[str, dict]:
    """Change to its kind, how many alarms, and how many of them are right."""
    novelty = ImageNovelty(CHANNELS)
    novelty.fit(statistics(spread(part.fitted, FIT), None))

    def seen(most: int, change: Change | None = None) -> Images:
        rows = statistics(spread(part.others, most), change)
        return Images(
            novelty.distances(rows).numpy(), fine_structure(rows.numpy())
        )

    streams = begun(seen(PLAIN))
    result = {}
    for name, (fine, change) in part.changes.items():
        found = answers(streams, seen(CHANGED, change))
        kind = FINE if fine else LIGHT
        right = found.count(fine)
        result[name] = dict(kind=kind, right=right, alarms=len(found))
    return result


def of_kind(changes: dict[str, dict], kind: str) -> list[int]:
    """Right alarms, and alarms, of one kind of changes."""
    rows = [row for row in changes.values() if row['kind'] == kind]
    return [sum(row[key] for row in rows) for key in ('right', 'alarms')]


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.decisions.alarm_causes …'
    )
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument(
        '--json', type=Path, default=Path('results/decisions.json')
    )
    args = parser.parse_args()
    answer, table = {}, []
    for name, part in sets(args.data).items():
        changes = measure(part)
        right = {kind: of_kind(changes, kind) for kind in (FINE, LIGHT)}
        answer[name] = dict(right=right, changes=changes)
        table.append([name, *(f'{r} of {of}' for r, of in right.values())])
        print(table[-1], flush=True)
    print(markdown_table(['images', FINE, LIGHT], table))
    add_answer(args.json, answer, 'alarm_causes')


if __name__ == '__main__':
    cli.run(main)
