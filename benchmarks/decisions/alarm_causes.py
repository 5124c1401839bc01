"""Whether an alarm of the novelty can tell noise from colours.

The rule, written before it was run, is the third; an alarm is named by
``image_looks``. The statistics of an image, of which the
novelty is the distance, are summed up in seven numbers: brightness, cast,
contrast and colour; and log variances of details of 1, 2 and 4 pixels, each
less that of 8 pixels. The last three are fine structure. They do not change
where values are scaled, while noise, blur and compression change them, and the
colour too. So fine structure is named if its three numbers together have
changed since (Hotelling's test), whatever else has changed; if not, light or
colours if the other four have; else nothing.

An alarm is right if it names fine structure behind noise, blur and
compression, and light or colours behind changes of these. One that names
nothing is not right. The rule is built into the monitor if it is right in 9 of
10 alarms of either kind on each of six sets.

The chance of the test is chosen on training images of VOC animals and CamVid
(the novelty fitted on others of them), and on changes of other strengths than
those that are judged: of 1e-2, 1e-3, 1e-4 and 1e-5 that with which the worse
of both kinds on both sets is right most often, of equals the largest. These
images were looked at while the rule was thought out, and 1e-3 was best.

Judged on four sets that other rules had been judged on before, and with the
same changes: VOC, CamVid, VOC animals (images that are not in VOC) and Road
Anomaly (with the novelty of CamVid). And on two sets, with changes, that
played no part so far: training images of VOC (with the novelty of VOC animals)
and validation images of CamVid.

The first rule, the largest of four moves in standard deviations of training,
was right in 67 of 72 alarms and 60 of 60 of VOC, and 53 of 100 and 79 of 80 of
CamVid. The second named fine structure, one number, beyond 4 standard errors:
65 of 72 and 59 of 60 of VOC, 79 of 100 and 76 of 80 of CamVid, 65 of 75 and 76
of 80 of VOC animals, 72 of 80 and 61 of 66 of Road Anomaly.

It is not built in: behind changes of light and colours of training images of
VOC, 68 of 80 alarms were right. The run was ended after CamVid; the other sets
of the second rule, and the choice on images looked at, wait for a whole run.

Streams: 100 test images as a reference, 200 ordinary ones, then changed ones
up to the first alarm of the novelty; all drawn with replacement.

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
from benchmarks.decisions.image_changes import (
    CHOSEN_WITH,
    JUDGED,
    UNSEEN,
    Change,
    Changes,
)
from benchmarks.decisions.image_looks import LIGHT, STRUCTURE, cause, looks_of
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli
from mmseg_ddu.core.drift import DriftDetector
from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.models.image_novelty import ImageNovelty

CHANNELS = 3
FIT, PLAIN, CHANGED = 300, 240, 40  # images
BEFORE, MOST, SEEDS = 200, 1000, 20  # images, images, streams
CHOICES = (1e-2, 1e-3, 1e-4, 1e-5)
CHOSEN_ON = ('training images of voc_animals', 'training images of camvid')
NOTHING = 'nothing'


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
    """Name to set, those that are chosen on first."""
    known = voc(data, 'voc21', 'train', 'val')
    tests = without(voc(data, 'voc_animals', 'val'), *known)
    training = voc(data, 'voc_animals', 'train_aug')
    training = without(training, *known, *tests)
    fitted = spread(training, FIT)
    unfitted = without(training, *fitted)
    roads, validation = (
        sorted((data / 'camvid/images' / part).glob('*.jpg'))
        for part in ('train', 'val')
    )
    others = sorted((data / 'road_anomaly/images').glob('*.jpg'))
    rest = without(known, *images(data, 'voc21'))
    parts = [
        (CHOSEN_ON[0], fitted, unfitted, CHOSEN_WITH),
        (CHOSEN_ON[1], roads[::2], roads[1::2], CHOSEN_WITH),
        ('camvid_val', roads, validation, UNSEEN),
        ('voc21_train', fitted, rest, UNSEEN),
        ('camvid', roads, images(data, 'camvid'), JUDGED),
        ('voc_animals', fitted, tests, JUDGED),
        ('road_anomaly', roads, others, JUDGED),
        ('voc21', rest, images(data, 'voc21'), JUDGED),
    ]
    return {name: ImageSet(*part) for name, *part in parts}


class Images(NamedTuple):
    """Distances of the novelty, (N,), and seven numbers, (N, 7)."""

    distances: np.ndarray
    looks: np.ndarray


def statistics(paths: list[Path], change: Change | None) -> torch.Tensor:
    """Of images, changed or not, (N, S)."""
    measure, rows = ImageStatistics(CHANNELS), []
    for number, path in enumerate(track(paths, 'Statistics')):
        pixels = cv2.imread(str(path))
        if change:
            pixels = change(pixels, np.random.default_rng(number))
        rows.append(measure(standardized(pixels[..., ::-1]))[0])
    return torch.stack(rows)


Alarm = tuple[np.ndarray, np.ndarray]  # numbers before, (M, 7), and since


class Stream(NamedTuple):
    """Where a stream is before the change."""

    detector: DriftDetector
    looks: np.ndarray  # of the reference, and of the images so far
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
        looks = np.concatenate([reference.looks, before.looks])
        streams.append(Stream(detector, looks, rng))
    return streams


def alarms(streams: list[Stream], changed: Images) -> list[Alarm]:
    """The first alarm of each stream that has one behind the change."""
    found = []
    for stream in streams:
        detector, looks, rng = deepcopy(stream)
        after = drawn(changed, MOST, rng)
        looks = np.concatenate([looks, after.looks])
        for distance in after.distances:
            step = detector.update(distance[None])
            if step.alarms:
                start = REFERENCE + step.since[0]
                end = REFERENCE + detector.seen
                found.append((looks[:start], looks[start:end]))
                break
    return found


def drawn(images: Images, size: int, rng: np.random.Generator) -> Images:
    places = rng.integers(len(images.distances), size=size)
    return Images(images.distances[places], images.looks[places])


def measure(part: ImageSet) -> dict[str, list[Alarm]]:
    """Change to its alarms."""
    novelty = ImageNovelty(CHANNELS)
    novelty.fit(statistics(spread(part.fitted, FIT), None))
    matrix = looks_of(CHANNELS).double().numpy()

    def seen(most: int, change: Change | None = None) -> Images:
        rows = statistics(spread(part.others, most), change)
        looks = rows.double().numpy() @ matrix
        return Images(novelty.distances(rows).numpy(), looks)

    streams = begun(seen(PLAIN))
    return {
        name: alarms(streams, seen(CHANGED, change))
        for name, (_, change) in part.changes.items()
    }


def judge(
    found: dict[str, list[Alarm]], changes: Changes, least: float
) -> dict[str, dict]:
    """Change to how many of its alarms name what."""
    result = {}
    for name, every in found.items():
        named = [cause(*each, least) or NOTHING for each in every]
        fine, _ = changes[name]
        result[name] = dict(
            alarms=len(named),
            right=named.count(STRUCTURE if fine else LIGHT),
            named={k: named.count(k) for k in (STRUCTURE, LIGHT, NOTHING)},
        )
    return result


def right(rows: dict[str, dict], changes: Changes) -> dict[str, list[int]]:
    """Kind of changes to how many are right, of how many alarms."""
    return {
        kind: [
            sum(
                row[key]
                for name, row in rows.items()
                if changes[name][0] is fine
            )
            for key in ('right', 'alarms')
        ]
        for kind, fine in ((STRUCTURE, True), (LIGHT, False))
    }


def choose(every: list[dict[str, list[Alarm]]]) -> dict[str, float]:
    """Chance to the worst of the shares that are right."""
    result = {}
    for least in CHOICES:
        counts = [
            count
            for found in every
            for count in right(
                judge(found, CHOSEN_WITH, least), CHOSEN_WITH
            ).values()
        ]
        result[f'{least:g}'] = min(hits / max(1, of) for hits, of in counts)
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
    every = sets(args.data)
    tried = choose([measure(every.pop(name)) for name in CHOSEN_ON])
    chosen = max(tried, key=tried.__getitem__)
    answer: dict = dict(tried=tried, chosen=float(chosen))
    print(f'chosen: a chance of {chosen}, of {tried}', flush=True)
    for name, part in every.items():
        rows = judge(measure(part), part.changes, float(chosen))
        counts = right(rows, part.changes)
        answer[name] = dict(right=counts, changes=rows)
        table = [
            [kind, f'{r["right"]} of {r["alarms"]}', *r['named'].values()]
            for kind, r in rows.items()
        ]
        head = ['change', 'right', STRUCTURE, LIGHT, NOTHING]
        print(
            f'\n{name}: {counts}\n\n{markdown_table(head, table)}', flush=True
        )
    add_answer(args.json, {'alarm_causes': answer}, 'drift')


if __name__ == '__main__':
    cli.run(main)
