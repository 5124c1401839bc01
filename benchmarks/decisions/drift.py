"""How soon drift is seen, and how often an alarm is false.

Statistics of ordinary test images of two networks, and of the same kind of
images with noise, compressed, at dusk, and of the other data set, are computed
once. Streams draw from them with replacement: 1,000 ordinary images, then
1,000 changed ones. The detector is that of tools/monitor.py. Delay is the
number of changed images up to the first alarm.

False alarms are counted on streams of ordinary images alone, in two ways: the
reference drawn from the same images as the stream, as the stated rate
supposes; and the images split in two halves, one for each. Then reference and
stream are not quite the same, as in life.

  python -m benchmarks.decisions.drift --networks A --weights B --data C
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.answers import add_answer
from benchmarks.decisions.drift_rows import PLAIN, STREAMS, manifests
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.monitoring.watched_images import read_stream
from mmseg_ddu.core.drift import DriftDetector

RATE = 0.001
REFERENCE = 100  # images
CHANGE = 1000  # images before it, and at most as many behind it
ORDINARY = 10_000


def detector_of(ordinary: np.ndarray, seed: int) -> DriftDetector:
    """As DriftMonitor has it."""
    classes = ordinary.shape[1] - 2
    weights = [1.0, 1.0, *[1 / classes] * classes]
    return DriftDetector(weights, RATE, ordinary, seed)


def delays(plain: np.ndarray, changed: np.ndarray, seeds: int) -> dict:
    """Images up to the first alarm behind the change, over seeds."""
    found: list[int] = []
    early = 0
    for seed in range(seeds):
        rng = np.random.default_rng([1, seed])
        detector = detector_of(rng.choice(plain, REFERENCE), seed)
        for values in rng.choice(plain, CHANGE):
            early += bool(detector.update(values).alarms)
        for number, values in enumerate(rng.choice(changed, CHANGE), 1):
            if detector.update(values).alarms:
                found.append(number)
                break
    return dict(
        delay=float(np.median(found)) if found else None,
        slowest=max(found, default=None),
        detected=len(found) / seeds,
        alarms_before=early,
    )


def false_alarms(
    ordinary: np.ndarray, stream: np.ndarray, streams: int
) -> float:
    """Images with an alarm in 1,000, in streams of ordinary images."""
    alarms = 0
    for seed in range(streams):
        rng = np.random.default_rng([2, seed])
        detector = detector_of(rng.choice(ordinary, REFERENCE), seed)
        for values in rng.choice(stream, ORDINARY):
            alarms += bool(detector.update(values).alarms)
    return 1000 * alarms / (streams * ORDINARY)


def measure(args) -> dict:
    """All streams of all networks."""
    result: dict = {}
    same, halves = {}, {}
    for name in STREAMS:
        values = {}
        for kind, folder in manifests(args, name).items():
            images = read_stream(folder).images
            values[kind] = np.array(
                [x['numbers'] for x in images if 'numbers' in x]
            )
        plain = values.pop(PLAIN)
        result[name] = {
            kind: delays(plain, changed, args.seeds)
            for kind, changed in values.items()
        }
        same[name] = false_alarms(plain, plain, args.streams)
        mixed = np.random.default_rng(3).permutation(plain)
        halves[name] = false_alarms(mixed[::2], mixed[1::2], args.streams)
    return dict(
        **by_change(result),
        stated_per_1000=1000 * RATE,
        false_alarms_per_1000=max(same.values()),
        by_data=same,
        other_images_by_data=halves,
        reference=REFERENCE,
        streams_of_10000=args.streams,
    )


def by_change(found: dict[str, dict[str, dict]]) -> dict[str, dict]:
    """Change to its delays on each data set, and the longest of them.

    Args:
        found (dict): Data set to change to :func:`delays`.
    """
    result: dict[str, dict] = {}
    for name, changes in found.items():
        for kind, row in changes.items():
            result.setdefault(kind, {})[name] = row
    for kind, rows in result.items():
        every = [row['delay'] for row in rows.values()]
        longest = None if None in every else max(every)
        result[kind] = dict(delay=longest, **rows)
    return result


def main() -> None:
    parser = cli.parser(__doc__, 'python -m benchmarks.decisions.drift …')
    folder = dict(type=Path, required=True)
    add = parser.add_argument
    add('--networks', **folder, help='folder of configs')
    add('--weights', **folder, help='folder of checkpoints')
    add('--data', **folder, help='folder of data sets')
    add('--fits', **folder, help='folder of NETWORK_0_gda.pth')
    add('--runs', type=Path, default=Path('drift_runs'), help='exports')
    add('--plain', type=int, default=240, help='ordinary images (240)')
    add('--shifted', type=int, default=40, help='of each change (40)')
    add('--seeds', type=int, default=10, help='streams for each change (10)')
    add('--streams', type=int, default=5, help='of ordinary images (5)')
    add('--json', type=Path, default=Path('results/decisions.json'))
    args = parser.parse_args()
    answer = measure(args)
    print(json.dumps(answer, indent=2))
    add_answer(args.json, answer, 'drift')


if __name__ == '__main__':
    cli.run(main)
