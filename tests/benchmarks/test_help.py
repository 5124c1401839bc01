"""Every benchmark says what it measures and how to run it."""

import runpy
import sys
from pathlib import Path

import pytest

import benchmarks

ROOT = Path(benchmarks.__file__).parent
HELPERS = ('answers', 'drawn_images', 'measure', 'tables')
INSIDE = (
    *('decisions.abstention', 'decisions.drift', 'decisions.label_errors'),
    *('decisions.raster', 'training.decomposition', 'training.distances'),
    *('training.few_shot', 'training.pruning', 'training.gaussian_options'),
    *('decisions.label_error_kinds', 'training.page'),
)
NAMES = sorted(
    path.stem if path.parent == ROOT else path.parent.name
    for pattern in ('[a-z]*.py', '*/__main__.py')
    for path in ROOT.glob(pattern)
    if path.stem not in HELPERS
)


def test_benchmarks_were_found():
    assert len(NAMES) >= 9


@pytest.mark.parametrize('name', (*NAMES, *INSIDE))
def test_help(name, monkeypatch, capsys):
    if name == 'numerics':
        pytest.importorskip('mpmath')
    monkeypatch.setattr(sys, 'argv', [name, '--help'])
    with pytest.raises(SystemExit) as done:
        runpy.run_module(f'benchmarks.{name}', run_name='__main__')
    assert done.value.code == 0
    assert f'python -m benchmarks.{name}' in capsys.readouterr().out
