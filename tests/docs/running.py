"""Runs the blocks of a page, in a process that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from mmseg_ddu.mmcv_without_ops import allow_missing_mmcv_ops

allow_missing_mmcv_ops()

import mmseg.datasets  # noqa: E402, F401
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import mmseg_ddu.apis  # noqa: E402, F401
from mmseg_ddu.registry import (  # noqa: E402
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    VISUALIZERS,
)

from .pages import ROOT, Block, is_config  # noqa: E402
from .stand_ins import filled  # noqa: E402

# A command with any of these is for bash, in a process of its own.
SHELL = re.compile(r'[|;&<>$`]|^\s*(for|while|if|cd|export) ', re.M)
TIMEOUT = 600
LOG = 'page.log'


def run_page(blocks: Sequence[Block], folder: Path) -> str | None:
    """Run blocks in order.

    Args:
        blocks (Sequence[Block]): All that are to run, of one page.
        folder (Path): Where to; its own copy of what was prepared.

    Returns:
        str: What went wrong, with the last lines of the output, or None.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run_all, args=(blocks, folder))
    process.start()
    process.join(TIMEOUT)
    if process.exitcode == 0:
        return None
    if process.exitcode is None:
        process.kill()
    lines = (folder / LOG).read_text().splitlines()
    if process.exitcode is None:
        lines.append(f'Stopped after {TIMEOUT} seconds.')
    return '\n'.join(
        [
            *lines[-40:],
            'Files and placeholders that pages may use are declared in '
            'tests/docs/stand_ins.py. A block that cannot be run is marked '
            'with "<!-- not run: the reason -->" in front of it, one that '
            'wants a package of an extra with "<!-- needs: module -->".',
        ]
    )


def _run_all(blocks: Sequence[Block], folder: Path) -> None:
    """The process of one page."""
    os.chdir(folder)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    torch.set_num_threads(1)
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
        elif words:
            _run_bash(line)


def _run_script(argv: list[str]) -> None:
    """A Python file without the seconds of a new interpreter."""
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as error:
        if error.code:
            raise RuntimeError(
                f'{shlex.join(argv)} gave exit code {error.code}.'
            ) from None


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
