"""Runs the blocks of a page, in a process that has everything imported."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ddu.registry import DATASETS, HOOKS, METRICS, MODELS, VISUALIZERS
from tests import warm_processes

from .pages import ROOT, Block, is_config
from .stand_ins import filled

# A command with any of these is for bash, in a process of its own.
SHELL = re.compile(r'[|;&<>$`]|^\s*(for|while|if|cd|export) ', re.M)
TORCHRUN = re.compile(r'torchrun --nproc_per_node=(\d+) (tools/.*)')
LOG = 'page.log'


def run_page(blocks: Sequence[Block], folder: Path) -> str | None:
    """Run blocks in order.

    Args:
        blocks (Sequence[Block]): All that are to run, of one page.
        folder (Path): Where to; its own copy of what was prepared.

    Returns:
        str: What went wrong, with the last lines of the output, or None.
    """
    log = folder / LOG
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    places = dict(cwd=folder, out=log, err=log, env=env)
    process = warm_processes.start(_run_all, blocks, **places)
    code = warm_processes.end(process)
    if code == 0:
        return None
    lines = log.read_text().splitlines()
    if code is None:
        lines.append(f'Stopped after {warm_processes.TIMEOUT} seconds.')
    return '\n'.join(
        [
            *lines[-40:],
            'Files and placeholders that pages may use are declared in '
            'tests/docs/stand_ins.py. A block that cannot be run is marked '
            'with "<!-- not run: the reason -->" in front of it, one that '
            'wants a package of an extra with "<!-- needs: module -->".',
        ]
    )


def _run_all(blocks: Sequence[Block]) -> None:
    """The process of one page."""
    init_default_scope('mmseg')
    names: dict = dict(__name__='page')  # shared by the Python of a page
    for block in blocks:
        print(f'--- {block.where}', flush=True)
        try:
            run_block(block, names)
        except BaseException:
            traceback.print_exc()
            print(f'{block.where} failed.')
            sys.stdout.flush()
            os._exit(1)
    print(f'--- {time.process_time():.1f} s of processor time', flush=True)


def run_block(block: Block, names: dict) -> None:
    """Run one block; raises what it raises.

    Args:
        block (Block): Of bash or Python.
        names (dict): Globals of Python blocks.
    """
    if block.language == 'bash':
        _run_commands(filled(block))
    elif is_config(block.text):
        _check_config(block)
    else:
        code = compile(block.text, block.where, 'exec')
        exec(code, names)


def _run_commands(text: str) -> None:
    joined = text.replace('\\\n', ' ')
    if SHELL.search(joined):
        _run_bash(text)
        return
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ['python'] and words[1:2] != ['-m']:
            _run_script(words[1:])
        elif several := TORCHRUN.fullmatch(line.strip()):
            _run_ranks(int(several[1]), shlex.split(several[2]))
        elif words:
            _run_bash(line)


def _run_script(argv: list[str]) -> None:
    """A Python file without the seconds of a new interpreter."""
    try:
        warm_processes.run_script(*argv)
    except SystemExit as error:
        if error.code:
            raise RuntimeError(
                f'{shlex.join(argv)} gave exit code {error.code}.'
            ) from None


def _run_ranks(number: int, argv: list[str]) -> None:
    """The same in the processes that torchrun starts."""
    options = dict(cwd=Path.cwd(), ranks=number, method='fork')
    done = warm_processes.call(warm_processes.run_script, *argv, **options)
    print(done.stdout, done.stderr, sep='\n')
    done.check_returncode()


def _run_bash(text: str) -> None:
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'PATH': path}
    subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', text], check=True, env=env
    )


def _check_config(block: Block) -> None:
    """Parse a part of a config on top of the tiny one and build it all."""
    file = Path(f'part_{block.line}.py')
    own_base = '_base_ =' in block.text
    base = '' if own_base else "_base_ = './config.py'\n"
    file.write_text(base + block.text)
    cfg = Config.fromfile(file)
    MODELS.build(cfg.model)
    for split in ('train', 'val', 'test'):
        DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    VISUALIZERS.build(cfg.visualizer)  # hooks ask for it
    for hook in (*cfg.get('custom_hooks', []), *cfg.default_hooks.values()):
        HOOKS.build(hook)
    evaluators = cfg.test_evaluator
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    for evaluator in evaluators:
        METRICS.build(evaluator)
