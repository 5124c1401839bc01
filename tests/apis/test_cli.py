"""How the tools end, and what they share."""

import os

import pytest
import torch

from mmseg_ddu.apis import cli
from mmseg_ddu.engine.stopping import Interrupted


def ended(main, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(main)
    return end.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


def test_exit_codes_of_what_is_done(capsys):
    assert ended(lambda: None, capsys) == (0, '')
    assert ended(lambda: 1, capsys) == (1, '')


@pytest.mark.parametrize(
    'error', [ValueError, FileNotFoundError, torch.cuda.OutOfMemoryError]
)
def test_what_a_user_can_mend(error, capsys):
    code, said = ended(raising(error('Do this.')), capsys)
    assert code == 2 and said == 'error: Do this.\n'


@pytest.mark.parametrize(
    'error', [KeyError('x'), RuntimeError('a\nb'), AssertionError()]
)
def test_the_unexpected_is_one_line_and_not_partly_done(error, capsys):
    code, said = ended(raising(error), capsys)
    assert code == 70
    assert said.startswith(f'unexpected error: {type(error).__name__}: ')
    assert said.count('\n') == 1 and '--debug' in said


def test_a_signal(capsys):
    code, said = ended(raising(Interrupted('5 of 12 saved')), capsys)
    assert code == 130 and said == '5 of 12 saved\n'
    code, said = ended(raising(KeyboardInterrupt()), capsys)
    assert code == 130 and 'Interrupted' in said


@pytest.mark.parametrize('error, code', [(KeyError('x'), 70), (OSError, 2)])
def test_debug_shows_the_place(error, code, capsys, monkeypatch):
    monkeypatch.setenv(cli.DEBUG, '')  # to be put back
    cli.parser('A tool.', 'tool').parse_args(['--debug'])
    got, said = ended(raising(error), capsys)
    assert got == code
    assert 'Traceback' in said and 'in main' in said
    assert 'error: ' in said.splitlines()[-1]


@pytest.mark.parametrize('option', ['--local-rank', '--local_rank', None])
@pytest.mark.parametrize('there', ['3', None])
def test_the_rank_of_launchers_that_set_no_variable(
    option, there, monkeypatch
):
    monkeypatch.setenv('LOCAL_RANK', there or '')  # to be put back
    if there is None:
        monkeypatch.delenv('LOCAL_RANK')
    parser = cli.parser('A tool.', 'tool')
    cli.add_launcher(parser)
    parser.parse_args([f'{option}=1'] if option else [])
    expected = there or ('1' if option else '0')
    assert os.environ['LOCAL_RANK'] == expected
    with pytest.raises(SystemExit):
        parser.parse_args(['--local-rank=first'])
