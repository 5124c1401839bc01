"""Every tool under one name."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_ddu import __main__ as program

ROOT = Path(__file__).resolve().parents[1]


def run(*args, cwd):
    command = [sys.executable, '-m', 'mmseg_ddu', *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


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
