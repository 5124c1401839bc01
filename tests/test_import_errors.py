"""How tools end where what they need is missing or broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(ROOT.glob('tools/*.py'))


def run(tmp_path, *args):
    # Stands in front of the real one, which all of them need.
    (tmp_path / 'mmcv.py').write_text("raise ImportError('No\\nmmcv.')\n")
    env = dict(os.environ, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    command = [sys.executable, *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=tmp_path
    )


@pytest.mark.parametrize(
    'args', [*([path] for path in TOOLS), ['-m', 'mmseg_ddu', 'test']]
)
def test_no_tool_says_that_it_is_done(args, tmp_path):
    done = run(tmp_path, *args)
    assert done.returncode == 70 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith('unexpected error: ImportError: No mmcv.')


def test_debug_shows_the_place(tmp_path):
    done = run(tmp_path, TOOLS[0], '--debug')
    assert done.returncode == 70
    assert 'Traceback' in done.stderr and 'mmcv.py' in done.stderr
