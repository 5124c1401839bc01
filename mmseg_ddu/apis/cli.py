"""What the command lines of the tools share."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable

import torch
from mmengine.config import DictAction
from mmengine.dist import is_main_process as is_main_process

from mmseg_ddu.__main__ import COMMANDS, PROGRAM
from mmseg_ddu.engine.ranks import join as join
from mmseg_ddu.engine.safe_load import TRUSTED, safe_loading
from mmseg_ddu.import_errors import (
    DEBUG,
    INTERRUPTED,
    print_last,
    tell_unexpected,
)

USAGE_ERROR = 2
# What a user can mend.
EXPECTED = (
    OSError,
    ImportError,
    ValueError,
    TypeError,
    MemoryError,
    torch.linalg.LinAlgError,
    torch.cuda.OutOfMemoryError,
)


def parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with ``--debug``, whose help ends in an example."""
    description, example = as_called(description), as_called(example)
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f'example:\n  {example}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--debug',
        action=_AtOnce,
        nargs=0,
        const=lambda _: os.environ.update({DEBUG: '1'}),
        dest=argparse.SUPPRESS,
        help='show where in the code an error comes from',
    )
    return parser


def as_called(text: str) -> str:
    """``mmseg-ddu fit`` for ``python tools/fit_gda.py`` where that runs."""
    if not sys.argv[0].startswith(f'{PROGRAM} '):
        return text
    for name, (tool, _) in COMMANDS.items():
        path = rf'(?<![\w./-])(python )?tools/{tool}\.py'
        text = re.sub(path, f'{PROGRAM} {name}', text)
    return text


def next_test(args: argparse.Namespace, out: str | os.PathLike) -> str:
    """The command that tests what a tool has written."""
    options = (args.cfg_options or {}).items()
    words = [args.config, out, *['--cfg-options'] * bool(options)]
    words += [f'{key}={value}' for key, value in options]
    line = shlex.join(map(str, words))
    return as_called(f'next: python tools/test.py {line}')


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


def add_gda_options(
    parser: argparse.ArgumentParser, text: str, **options
) -> None:
    """``--gda-options``, arguments of the density head."""
    parser.add_argument(
        '--gda-options',
        nargs='+',
        action=DictAction,
        metavar='NAME=VALUE',
        help=text,
        **options,
    )


def height_and_width(text: str) -> tuple[int, int]:
    """``512x640`` -> (512, 640), as a ``type`` of an argument."""
    height, width = text.lower().split('x')
    return int(height), int(width)


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
    # Newer ones set the variable, too.
    known = 'LOCAL_RANK' in os.environ
    os.environ.setdefault('LOCAL_RANK', '0')
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
        action=_AtOnce,
        const=lambda n: known or os.environ.update(LOCAL_RANK=str(n)),
        dest=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


class _AtOnce(argparse.Action):
    """Does what its constant does with the value, as soon as it is read."""

    def __call__(self, parser, namespace, value, option=None) -> None:
        self.const(value)


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """``--trust-checkpoint``, for files of one's own that hold code."""
    parser.add_argument(
        '--trust-checkpoint',
        action=_AtOnce,
        nargs=0,
        const=lambda _: TRUSTED.set(True),
        dest=argparse.SUPPRESS,
        help='let the code in checkpoints run (refused: see docs/security.md)',
    )


def run(main: Callable[[], int | None]) -> None:
    """Run a tool; an error is one line, not a traceback.

    ``--debug``, or ``MMSEG_DDU_TRACEBACK=1``, shows the traceback. Exit
    codes: 0 done, 1 done but something was left out, 2 an error that the
    user can mend, 70 an unexpected one, 130 stopped by a signal.

    Numbers below 1e-38 count as 0: a CPU takes 30 times as long for networks
    that are full of them.
    """
    torch.set_flush_denormal(True)
    try:
        with safe_loading():
            code = main() or 0
    except SystemExit as stop:  # of the parser
        code = stop.code
    except KeyboardInterrupt as stop:
        default = 'Interrupted; files are whole or as before.'
        print(str(stop) or default, file=sys.stderr)
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exception(error)
        if isinstance(error, EXPECTED):
            print(as_called(f'error: {error}'), file=sys.stderr)
            code = USAGE_ERROR
        else:
            code = tell_unexpected(error)
    finally:
        torch.set_flush_denormal(False)
        # Else its threads may abort the process as it ends.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        print_last()
    sys.exit(code)
