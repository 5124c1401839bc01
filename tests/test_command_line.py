"""Every tool under one name."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_ddu import __main__ as program
from tests.warm_processes import call, run_module

ROOT = Path(__file__).resolve().parents[1]


def run(*args, cwd):
    return call(run_module, 'mmseg_ddu', *args, cwd=cwd)


def test_every_tool_has_a_command():
    tools = {path.stem for path in ROOT.glob('tools/*.py')}
    assert tools and tools == {tool for tool, _ in program.COMMANDS.values()}
    for name in program.COMMANDS:
        assert f'\n  {name} ' in program.overview()


def test_help_calls_tools_as_they_were_called(tmp_path):
    done = run('fit', '--help', cwd=tmp_path)
    assert done.returncode == 0
    assert '\nusage: mmseg-ddu fit ' in f'\n{done.stdout}'
    assert 'mmseg-ddu fit CONFIG CHECKPOINT\n' in done.stdout
    assert 'tools/' not in done.stdout


def test_tools_say_their_own_names(monkeypatch):
    from mmseg_ddu.apis import cli

    text = 'python tools/test.py CONFIG, see tools/fit_gda.py'
    assert cli.as_called(text) == text
    monkeypatch.setattr(sys, 'argv', ['mmseg-ddu fit'])
    assert cli.as_called(text) == 'mmseg-ddu test CONFIG, see mmseg-ddu fit'
    path = 'There is no /home/me/tools/test.py or ../tools/train.py.'
    assert cli.as_called(path) == path


def test_errors_say_their_own_names(monkeypatch, capsys):
    from mmseg_ddu.apis import cli

    def tool():
        raise ValueError('Fit again with tools/fit_gda.py.')

    monkeypatch.setattr(sys, 'argv', ['mmseg-ddu abstain'])
    with pytest.raises(SystemExit):
        cli.run(tool)
    assert capsys.readouterr().err == (
        'error: Fit again with mmseg-ddu fit.\n'
    )


@pytest.mark.parametrize('options', [{}, {'a.b': [1, 2], 'c': 'x y'}])
def test_next_has_the_options(options, monkeypatch):
    from mmseg_ddu.apis import cli

    parser = cli.parser('', '')
    parser.add_argument('config')
    cli.add_cfg_options(parser)
    words = [f'{key}={value}' for key, value in options.items()]
    given = ['--cfg-options', *words] if words else []
    args = parser.parse_args(['my config.py', *given])
    line = cli.next_test(args, 'a_gda.pth')
    start = 'next: python tools/test.py '
    assert line.startswith(start)
    config, out, *rest = shlex.split(line.removeprefix(start))
    assert (config, out) == ('my config.py', 'a_gda.pth')
    again = parser.parse_args([config, *rest])
    assert again.cfg_options == args.cfg_options


def test_tools_of_somebody_else(monkeypatch, tmp_path, capsys):
    """Beside an installed package there may be any folder of this name."""
    package = tmp_path / 'site-packages' / 'mmseg_ddu'
    theirs = package.parent / 'tools'
    for folder in (package, theirs):
        folder.mkdir(parents=True)
    (theirs / 'test.py').write_text('raise SystemExit(0)')
    monkeypatch.setattr(program, '__file__', str(package / '__main__.py'))
    monkeypatch.setattr(sys, 'argv', ['mmseg-ddu', 'test'])
    with pytest.raises(SystemExit) as raised:
        program.main()
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and 'has no tools; install' in said


@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_nobody_reads_the_overview(unbuffered):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, '-m', 'mmseg_ddu']
    env = dict(os.environ, PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, env=env
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b'')


def test_exit_codes_are_those_of_the_tools(tmp_path):
    done = run('fit', 'absent.py', 'absent.pth', cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1] == 'error: There is no config absent.py.'
    )


@pytest.mark.parametrize('args', [[], ['--help'], ['-h']])
def test_overview(monkeypatch, capsys, args):
    monkeypatch.setattr(sys, 'argv', ['mmseg-ddu', *args])
    program.main()
    assert 'mmseg-ddu export CONFIG' in capsys.readouterr().out


def test_unknown_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mmseg-ddu', 'fitt'])
    with pytest.raises(SystemExit) as raised:
        program.main()
    assert raised.value.code == 2
    assert "There is no 'fitt'" in capsys.readouterr().err
