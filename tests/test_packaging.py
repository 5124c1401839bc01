"""What is inside a built wheel and an editable install."""

import os
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


def run(*command, **options):
    """Run a module of Python; what it prints."""
    command = [sys.executable, '-m', *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel that was built from a source distribution."""
    source = copy_of_the_project(tmp_path_factory.mktemp('wheel') / 'source')
    run('build', '--outdir', source / 'dist', source)
    (wheel,) = (source / 'dist').glob('*.whl')
    return wheel


@pytest.mark.slow
def test_wheel_holds_configs_and_tools(wheel):
    assert f'-{mmseg_ddu.__version__}-' in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    content = [ROOT / 'model-index.yml', *ROOT.glob('tools/*.py')]
    for pattern in ('*.py', 'metafile.yml', 'README.md'):
        found = list((ROOT / 'configs').rglob(pattern))
        assert found
        content += found
    for path in content:
        for folder in ('mmseg_ddu', '+mmseg_ddu'):
            assert f'{folder}/.mim/{path.relative_to(ROOT)}' in names
    parts = ROOT.glob('mmseg_ddu/apis/html_report/parts/*')
    for path in (*ROOT.glob('mmseg_ddu/**/*.py'), *parts):
        if '.mim' not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    assert not any(name.startswith(('tests', 'benchmarks')) for name in names)


@pytest.mark.slow
def test_mim_finds_an_installed_wheel(wheel, tmp_path):
    pytest.importorskip('mim', reason='onedl-mim is not installed')
    site = tmp_path / 'site'
    run('pip', 'install', '--no-deps', '--target', site, wheel)
    elsewhere = dict(env=dict(os.environ, PYTHONPATH=str(site)), cwd=tmp_path)
    out = run('mim', 'search', 'mmseg_ddu', '--valid-config', **elsewhere)
    assert 'ddu_deeplabv3plus' in out
    out = run('mim', 'run', 'mmseg_ddu', 'make_sample', 'drawn', **elsewhere)
    assert str(site) in out
    assert list((tmp_path / 'drawn').rglob('*.jpg'))


@pytest.mark.slow
def test_editable_install_links_configs_and_tools(tmp_path):
    source = copy_of_the_project(tmp_path / 'source')
    site = tmp_path / 'site'
    run('pip', 'install', '--no-deps', '--target', site, '-e', source)
    for name in ('configs', 'tools', 'model-index.yml'):
        link = source / 'mmseg_ddu' / '.mim' / name
        assert link.resolve() == source / name and link.exists()
    assert not list(site.glob('*.dist-info/.mim'))
