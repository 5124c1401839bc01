"""Export very many small images in one process and watch the memory.

Writes soak.json: memory (MiB, resident) and the expected time left as the
progress bar tells it, every 100 images; the slope of the memory after the
first tenth; images per second; and how far the bar was off.

    python -m benchmarks.soak_export CONFIG CHECKPOINT_gda.pth WORK_DIR

Ctrl-C ends it early, with the figures so far.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image
from rich.progress import Progress

from mmseg_ddu.apis import export

EVERY = 100
VARIANTS = 64  # different sizes and contents
MIB = 1 << 20


def write_images(folder: Path, count: int, size: int) -> None:
    """JPEG files of ``size`` to twice that, in folders of 1,000."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(VARIANTS):
        height, width = rng.integers(size, 2 * size, 2)
        pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, 'JPEG')
        contents.append(stream.getvalue())
    for index in range(count):
        path = folder / str(index // 1000) / f'{index}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[index % VARIANTS])


def resident() -> float:
    """Memory of this process in MiB (Linux)."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / MIB


class Recorder:
    """Stands in for ``rich.progress.track`` and keeps what it says."""

    def __init__(self) -> None:
        self.samples: list[dict] = []
        self.done = 0
        self.seconds = 0.0

    def __call__(self, items, description: str, disable: bool = False):
        start = time.monotonic()
        with Progress(disable=disable) as progress:
            task = progress.add_task(description, total=len(items))
            for done, item in enumerate(items):
                if done % EVERY == 0:
                    self.samples.append(
                        dict(
                            done=done,
                            seconds=time.monotonic() - start,
                            mib=resident(),
                            left=progress.tasks[0].time_remaining,
                        )
                    )
                yield item
                progress.advance(task)
                self.done = done + 1
                self.seconds = time.monotonic() - start


def summary(samples: list[dict], count: int, seconds: float) -> dict:
    """Slope, speed, and the error of the time left, along the way."""
    late = [row for row in samples if row['done'] >= count / 10]
    slope = np.polyfit(
        [row['done'] for row in late], [row['mib'] for row in late], 1
    )[0]
    errors = {}
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        row = next(
            (row for row in samples if row['done'] >= share * count), late[-1]
        )
        left = seconds - row['seconds']
        if row['left'] is not None:
            errors[f'{share:.0%}'] = row['left'] / left - 1
    return dict(
        images=count,
        seconds=seconds,
        cpu_seconds=time.process_time(),
        images_per_second=count / seconds,
        mib_first=samples[1]['mib'],
        mib_tenth=late[0]['mib'],
        mib_last=samples[-1]['mib'],
        mib_per_1000_images=1000 * slope,
        time_left_error=errors,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint', help='*_gda.pth file')
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--images', type=int, default=20000)
    parser.add_argument('--size', type=int, default=24)
    parser.add_argument('--no-pictures', action='store_true')
    args = parser.parse_args()
    write_images(args.work_dir / 'images', args.images, args.size)
    record = Recorder()
    with (
        mock.patch('mmseg_ddu.apis.exporting.many_images.track', record),
        suppress(KeyboardInterrupt),  # what was measured so far counts
    ):
        export(
            args.config,
            args.checkpoint,
            args.work_dir / 'images',
            args.work_dir / 'maps',
            pictures=not args.no_pictures,
            resume=True,
        )
    result = summary(record.samples, record.done, record.seconds)
    if record.done < args.images:
        result.pop('time_left_error')  # nobody knows how long it had taken
    result['pictures'] = not args.no_pictures
    text = json.dumps(dict(result, samples=record.samples), indent=1)
    (args.work_dir / 'soak.json').write_text(text)
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
