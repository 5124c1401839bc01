"""A training that goes on where it was stopped."""

from __future__ import annotations

import json
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from mmseg_ddu.apis import train
from mmseg_ddu.fileio import write_json

SECONDS = 'seconds.json'  # written at the end: there if it is finished


def trained(cfg: Config, folder: Path) -> Path:
    """The last checkpoint of a training."""
    number = cfg.train_cfg.max_iters
    file, last = folder / SECONDS, folder / f'iter_{number}.pth'
    if not (file.exists() and last.exists()):
        done = iterations_done(folder)
        seconds = None  # nothing was left to do
        if done < number:
            start = time.process_time()
            train(cfg, work_dir=folder, resume=done > 0)
            seconds = (time.process_time() - start) / (number - done)
        write_json(file, seconds)
    return last


def iterations_done(folder: Path) -> int:
    """Those after which a stopped training goes on.

    A checkpoint that was only half written is not among them.
    """
    latest = find_latest_checkpoint(str(folder)) if folder.is_dir() else None
    there = latest is not None and Path(latest).is_file()
    return int(Path(latest).stem.removeprefix('iter_')) if there else 0


def seconds_per_iteration(folder: Path) -> float | None:
    """Of the processor, for what was done since the last stop, if any was."""
    return json.loads((folder / SECONDS).read_text())
