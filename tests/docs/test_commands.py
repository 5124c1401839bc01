"""Every command and every piece of Python in the pages works."""

import re
import shutil

import pytest

from .pages import ROOT, blocks_of, is_config, pages, parse
from .running import run_page
from .stand_ins import filled, prepare

PAGES = pages()
RUNNABLE = ('bash', 'python')
MOST_LEFT_OUT = 1 / 3
COMMAND = re.compile(r'(tools/\w+\.py|benchmarks(?:\.\w+)+)(.*)')


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp('kept')


@pytest.fixture
def folder(kept, tmp_path, request):
    """A copy of the prepared folder, which is made once."""
    prepared = kept / 'prepared'
    if not prepared.exists():
        names = ('plain_cfg', 'checkpoint', 'sample_root')
        cfg, *paths = map(request.getfixturevalue, names)
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.default_hooks.checkpoint.interval = 2
        cfg.test_dataloader.dataset.indices = 2
        prepare(prepared, cfg, *paths)
    return shutil.copytree(prepared, tmp_path / 'folder', symlinks=True)


def source_of(command):
    """Of ``tools/x.py``, or of all beside what ``-m benchmarks.x`` runs."""
    if command.startswith('tools'):
        return (ROOT / command).read_text()
    path = ROOT / command.replace('.', '/')
    folder = path if path.is_dir() else path.parent
    return ''.join(file.read_text() for file in folder.glob('*.py'))


def runnable(page):
    return [block for block in blocks_of(page) if block.language in RUNNABLE]


def test_pages_and_blocks_were_found():
    assert len(PAGES) >= 10
    assert sum(len(runnable(page)) for page in PAGES) >= 30


@pytest.mark.parametrize('page', PAGES)
def test_page(page, folder):
    todo = [block for block in runnable(page) if block.runs_here]
    if todo and (problem := run_page(todo, folder)):
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize('page', PAGES)
def test_fences_name_their_language(page):
    for block in blocks_of(page):
        commands = re.search(
            r'^(\$ )?(python|pip|import|from|mim|torchrun) ', block.text, re.M
        )
        assert block.language in RUNNABLE or not commands, (
            f'{block.where} looks like commands or Python; write bash or '
            f'python behind the fence instead of {block.language!r}, or text '
            'if it is output.'
        )


def test_few_blocks_are_left_out_and_each_has_a_reason():
    everything = [block for page in PAGES for block in runnable(page)]
    left_out = [block for block in everything if block.reason]
    for block in left_out:
        assert len(block.reason.split()) >= 3, f'{block.where}: say why'
    shown = '\n'.join(f'{each.where}: {each.reason}' for each in left_out)
    assert len(left_out) <= MOST_LEFT_OUT * len(everything), shown


def test_commands_that_are_left_out_have_the_options_they_use():
    parsers = ('mmseg_ddu/apis/cli.py', 'benchmarks/answers.py')
    shared = ''.join((ROOT / parser).read_text() for parser in parsers)
    checked = 0
    for page in PAGES:
        for block in runnable(page):
            if not block.reason:
                continue
            if block.language == 'python':
                if not is_config(block.text):
                    compile(block.text, block.where, 'exec')
                continue
            for line in block.text.replace('\\\n', ' ').splitlines():
                for tool, rest in COMMAND.findall(line):
                    source = source_of(tool) + shared
                    for option in re.findall(r' (--[a-z-]+)', rest):
                        assert f"'{option}'" in source, (block.where, option)
                        checked += 1
    assert checked > 5


TEXT = """\
# Title

```bash
python tools/test.py SETTINGS CHECKPOINT_gda.pth
```

<!-- not run: needs four
     GPUs -->

```bash
torchrun x
```

- in a list

  <!-- needs: math no_such_module -->

  ```python
  raise ValueError('told so')
  ```

```
a drawing
```
"""


def test_blocks_are_read_as_a_person_reads_them():
    blocks = parse('a.md', TEXT)
    assert [block.line for block in blocks] == [3, 10, 18, 22]
    assert [block.language for block in blocks] == ['bash'] * 2 + [
        'python',
        '',
    ]
    reasons = [block.reason for block in blocks]
    assert reasons == [None, 'needs four GPUs', None, None]
    assert blocks[2].needs == ('math', 'no_such_module')
    assert [block.runs_here for block in blocks[:3]] == [True, False, False]
    assert blocks[2].text == "raise ValueError('told so')\n"


def test_an_unknown_placeholder_says_what_to_do():
    with pytest.raises(ValueError, match=r'a\.md:3: nothing stands for SETT'):
        filled(parse('a.md', TEXT)[0])


def test_a_failing_block_is_reported(tmp_path):
    problem = run_page(parse('a.md', TEXT)[2:3], tmp_path)
    assert 'a.md:18 failed' in problem and 'told so' in problem
    good = parse('a.md', '```python\nx = [1]\nassert x\n```\n')
    assert run_page(good, tmp_path) is None


def test_parts_of_configs_are_told_from_programs():
    assert is_config("a = dict(x={{_base_.y}})\nb = ['z', dict(c=1)]")
    assert is_config("model = dict(type='mmseg_ddu.X')")
    assert not is_config('import torch')
    assert not is_config('x = print(dict(a=1))')
