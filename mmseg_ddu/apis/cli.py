"""What the command lines of the tools share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import torch
from mmengine.config import DictAction

from mmseg_ddu.engine.ranks import join
from mmseg_ddu.engine.safe_load import TRUSTED, safe_loading

USAGE_ERROR = 2
INTERRUPTED = 130
EXPECTED = (
    OSError,
    ImportError,
    ValueError,
    TypeError,
    torch.linalg.LinAlgError,
)


def parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose help ends in an example."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f'example:\n  {example}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``, as in mmseg's tools."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example '
        'train_cfg.max_iters=2000 or key="[(a,b),(c,d)]"',
    )


def add_tta(parser: argparse.ArgumentParser) -> None:
    """``--tta``, as in mmseg's tools."""
    parser.add_argument(
        '--tta',
        action='store_true',
        help="merge the augmentations of the config's tta_pipeline, or of the "
        'images and their mirror images',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """``--launcher`` and the rank that old launchers pass."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (none)',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )


class _Trust(argparse.Action):
    """Takes effect at once, for the rest of the process."""

    def __call__(self, *_: object) -> None:
        TRUSTED.set(True)


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """``--trust-checkpoint``, for files of one's own that hold code."""
    parser.add_argument(
        '--trust-checkpoint',
        action=_Trust,
        nargs=0,
        dest=argparse.SUPPRESS,
        help='let the code in checkpoints run (refused: see docs/security.md)',
    )


def set_local_rank(args: argparse.Namespace) -> None:
    """torchrun sets the variable, torch.distributed.launch the argument."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def init_distributed(launcher: str) -> None:
    """Join the process group of a launcher, on CPU too."""
    join(launcher)


def run(main: Callable[[], int | None]) -> None:
    """Run a tool; what a user can mend is one line, not a traceback.

    ``MMSEG_DDU_TRACEBACK=1`` shows the traceback. Exit codes: 0 done, 1 done
    but something was left out, 2 an error, 130 stopped by a signal.
    """
    try:
        with safe_loading():
            code = main() or 0
    except KeyboardInterrupt as stop:
        default = 'Interrupted; files are whole or as before.'
        print(str(stop) or default, file=sys.stderr)
        code = INTERRUPTED
    except EXPECTED as error:
        if os.environ.get('MMSEG_DDU_TRACEBACK'):
            raise
        print(f'error: {error}', file=sys.stderr)
        code = USAGE_ERROR
    finally:
        # Else its threads may abort the process as it ends.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    sys.exit(code)
