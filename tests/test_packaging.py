"""What is inside a built wheel and an editable install."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mmseg_ddu

ROOT = Path(__file__).resolve().parents[1]


def copy_of_the_project(target):
    """Without git's files, build leftovers and data."""
    import shutil

    ignore = shutil.ignore_patterns(
        '.*',
        'build',
        'dist',
        '*.egg-info',
        '__pycache__',
        'data',
        'work_dirs',
        'tests',
    )
    shutil.copytree(ROOT, target, ignore=ignore)
    return target


@pytest.mark.slow
def test_wheel_holds_configs_and_tools(tmp_path):
    source = copy_of_the_project(tmp_path / 'source')
    subprocess.run(
        [
            sys.executable,
            '-m',
            'build',
            '--wheel',
            '--outdir',
            str(tmp_path / 'dist'),
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / 'dist').glob('*.whl')
    assert f'-{mmseg_ddu.__version__}-' in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (*ROOT.glob('configs/**/*.py'), *ROOT.glob('tools/*.py')):
        assert f'mmseg_ddu/.mim/{path.relative_to(ROOT)}' in names
    parts = ROOT.glob('mmseg_ddu/apis/html_report/parts/*')
    for path in (*ROOT.glob('mmseg_ddu/**/*.py'), *parts):
        if '.mim' not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    assert not any(name.startswith('tests') for name in names)


@pytest.mark.slow
def test_editable_install_links_configs_and_tools(tmp_path):
    source = copy_of_the_project(tmp_path / 'source')
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'install',
            '--no-deps',
            '--target',
            str(tmp_path / 'site'),
            '-e',
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    for name in ('configs', 'tools'):
        link = source / 'mmseg_ddu' / '.mim' / name
        assert link.resolve() == source / name
        assert list(link.rglob('*.py'))
