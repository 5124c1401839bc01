"""Kill a fit again and again, and check that nothing is lost or broken.

A fit in a process of its own is killed (SIGKILL) at a random moment and
resumed, until it was killed as often as asked. After each kill every file has
to be whole; images that were done but not saved are counted. Each fit that
gets to its end has to give the bits of one that was never interrupted; then
the next begins.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from mmseg_ddu.apis import cli
from mmseg_ddu.engine import fit_gda
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitter import DensityFitter

FORK = multiprocessing.get_context('fork')


class Fit:
    """A fit in a forked process that tells when each image is done.

    Args:
        arguments (tuple): Config, checkpoint and output of the fit.
        options (dict): Its further arguments.
        most (int): Images at most.
    """

    def __init__(self, arguments: tuple, options: dict, most: int) -> None:
        self.count = FORK.RawValue('i', -1)  # images done; -1: none begun
        self.times = FORK.RawArray('d', most + 1)  # when it was that many
        self.process = FORK.Process(target=self._run, args=arguments)
        self._options = options

    def _run(self, config, checkpoint, out) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the progress bar
        update = DensityFitter.update

        def telling(fitter, *args):
            if self.count.value < 0:
                self._tell(len(fitter.sums.images))
            update(fitter, *args)
            self._tell(len(fitter.sums.images))

        DensityFitter.update = telling
        fit_gda(config, checkpoint, out, **self._options)

    def _tell(self, images: int) -> None:
        self.times[images] = time.monotonic()
        self.count.value = images

    def killed_after(self, seconds: float) -> bool:
        """Whether it was killed before its end."""
        self.process.start()
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        if code not in (0, -9):
            raise RuntimeError(f'The fit ended with {code}.')
        return code != 0


def saved_images(folder: Path) -> int:
    """Images in the state, which is read as a whole; 0 if there is none."""
    for path in folder.glob('rank*.pt'):
        state = torch.load(path, weights_only=True)
        return sum(len(state['sums'][k]) for k in ('images', 'unreadable'))
    return 0


def same_bits(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same tensors."""
    one, other = (read_checkpoint(p)['state_dict'] for p in (first, second))
    return one.keys() == other.keys() and all(
        torch.equal(value, other[key]) for key, value in one.items()
    )


def campaign(
    config,
    checkpoint: Path,
    folder: Path,
    kills: int,
    every: float,
    seed: int = 0,
    most: int = 100_000,
    **options,
) -> dict:
    """Kill fits, and what came of it.

    Args:
        config: Of the fit.
        checkpoint (Path): Its weights.
        folder (Path): For what is written.
        kills (int): How often.
        every (float): ``save_every`` of the fits.
        seed (int): Of the moments.
        most (int): Images of the fit at most.
        options: Further arguments of the fit.

    Raises:
        RuntimeError: If the bits of a fit differ, or files are left over.
    """
    whole, out = folder / 'whole.pth', folder / 'killed.pth'
    unfinished = out.with_suffix('.unfinished')
    begin = time.monotonic()
    Fit((config, checkpoint, whole), options, most).killed_after(3600)
    seconds = time.monotonic() - begin
    options = dict(options, save_every=every, resume=True)
    rng = random.Random(seed)
    done = killed = left_over = 0
    lost_images, lost_seconds = [], []
    while True:
        fit = Fit((config, checkpoint, out), options, most)
        wait = rng.uniform(0, seconds) if killed < kills else 3600
        if fit.killed_after(wait):
            now = time.monotonic()
            killed += 1
            left_over += len(list(unfinished.glob('.tmp-*')))
            if out.is_file():  # killed when all was done
                read_checkpoint(out)
            elif fit.count.value >= 0:
                saved = saved_images(unfinished)
                lost_images.append(fit.count.value - saved)
                lost_seconds.append(now - fit.times[saved])
            continue
        done += 1
        if not same_bits(whole, out):
            raise RuntimeError(f'Other bits after {killed} kills.')
        if unfinished.exists():
            raise RuntimeError(f'{unfinished} is left over.')
        if killed >= kills:
            break
        out.unlink()
    return dict(
        kills=killed,
        while_seeing_images=len(lost_images),
        fits=done,
        seconds_of_a_fit=round(seconds, 1),
        save_every=every,
        most_images_lost=max(lost_images, default=0),
        most_seconds_lost=round(max(lost_seconds, default=0), 2),
        temporary_files_found=left_over,
    )


def main() -> None:
    parser = cli.parser(
        __doc__,
        'python -m benchmarks.kill_fit CONFIG CHECKPOINT --kills 50 --every 1',
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--every', type=float, default=1.0)
    parser.add_argument('--max-images', type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = campaign(
            read_config(args.config),
            args.checkpoint,
            Path(folder),
            args.kills,
            args.every,
            max_images=args.max_images,
            num_workers=0,
        )
    print(*(f'{k}: {v}' for k, v in figures.items()), sep='\n')


if __name__ == '__main__':
    sys.exit(main())
