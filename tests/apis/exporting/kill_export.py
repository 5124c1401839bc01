"""Kill an export at random moments, many times; not part of the suite.

    python -m tests.apis.exporting.kill_export WORK_DIR --kills 50

Each child resumes what the last one left and is killed (SIGKILL) after a
random time. After each kill every file must be whole, and at most one image
may be done without its row. A child that comes to its end is compared with
an undisturbed export, file by file, and the next one begins anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ddu.apis import export
from tests.stand_in import make_stand_in

from .checks import (
    TEMPORARY,
    assert_whole,
    contents,
    end_of,
    journal_rows,
    start_child,
)


def lost_images(out: Path) -> int:
    """Images whose last file is there, but not their row."""
    rows = {row['name'] for row in journal_rows(out)}
    last = (out / 'overlay').glob('[!.]*.png')
    return len({path.stem for path in last} - rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--images', type=int, default=40)
    args = parser.parse_args()
    work = args.work_dir
    photos, out = work / 'photos', work / 'maps'
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(args.images):
        pixels = rng.integers(0, 255, (30, 30, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f'{index:03d}.png')
    tiny = make_stand_in(work)
    start = time.monotonic()
    export(*tiny, photos, work / 'whole')
    longest = time.monotonic() - start
    whole = contents(work / 'whole')
    kills = ends = lost = left_over = cut_lines = 0
    while kills < args.kills or not ends:
        pid = start_child(lambda: export(*tiny, photos, out, resume=True))
        if kills < args.kills:
            time.sleep(rng.uniform(0, longest))
            os.kill(pid, signal.SIGKILL)
        status = end_of(pid)
        if status == -signal.SIGKILL:
            kills += 1
            longest *= 1.1
            assert_whole(out)
            lost = max(lost, lost_images(out))
            left_over += any(out.rglob(f'{TEMPORARY}*'))
            journal = out / 'manifest.jsonl'
            if journal.is_file():
                cut_lines += not journal.read_bytes().endswith(b'\n')
            continue
        assert status == 0, status
        assert contents(out) == whole
        assert not list(out.rglob(f'{TEMPORARY}*'))
        ends += 1
        longest *= 0.8  # so that kills and ends stay in balance
        shutil.rmtree(out)
    print(
        f'{kills} kills, {ends} exports completed and equal; most images '
        f'lost by a kill: {lost}; kills that left temporary files: '
        f'{left_over}, a cut line: {cut_lines}'
    )


if __name__ == '__main__':
    main()
