"""How tools end where what they need is missing or broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(ROOT.glob('tools/*.py'))


def run(tmp_path, module, *args):
    # Stands in front of the real one, which all of them need.
    text = f"raise ImportError('No\\n{module}.')\n"
    (tmp_path / f'{module}.py').write_text(text)
    env = dict(os.environ, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    command = [sys.executable, *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=tmp_path
    )


@pytest.mark.parametrize(
    'args', [*([path] for path in TOOLS), ['-m', 'mmseg_ddu', 'test']]
)
def test_no_tool_says_that_it_is_done(args, tmp_path):
    # The first that they import, so that none of them takes seconds.
    done = run(tmp_path, 'torch', *args)
    assert done.returncode == 70 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith('unexpected error: ImportError: No torch.')


def test_debug_shows_the_place(tmp_path):
    done = run(tmp_path, 'mmcv', TOOLS[0], '--debug')
    assert done.returncode == 70
    assert done.stderr.splitlines()[-1].startswith(
        'unexpected error: ImportError: No mmcv.'
    )
    assert 'Traceback' in done.stderr and 'mmcv.py' in done.stderr
