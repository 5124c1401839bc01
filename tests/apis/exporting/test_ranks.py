"""Several processes write what one would have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.dist import get_rank

from mmseg_ddu.apis import export
from mmseg_ddu.apis.exporting import many_images
from mmseg_ddu.engine.ranks import RankError
from tests.processes import run_ranks
from tests.warm_processes import free_port

from .checks import assert_whole, contents, journal_rows

ROOT = Path(__file__).resolve().parents[3]


def test_torchrun_equals_one_process(tiny, photos, tmp_path):
    export(*tiny, photos, tmp_path / 'one')
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'torch.distributed.run',
            '--nproc-per-node=2',
            f'--master-port={free_port()}',
            str(ROOT / 'tools' / 'export_uncertainty.py'),
            *map(str, (*tiny, photos)),
            '--out-dir',
            str(tmp_path / 'two'),
            '--launcher',
            'pytorch',
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
    )
    # 1: an image was left out.
    assert done.returncode == 1, done.stderr[-3000:]
    assert 'exitcode  : 1 ' in done.stderr
    assert done.stdout.count('6 images exported') == 1
    assert contents(tmp_path / 'two') == contents(tmp_path / 'one')


def test_two_ranks_share_the_images(tiny, photos, tmp_path):
    shares = tmp_path / 'shares'

    def share():
        original = many_images.export_one

        def noted(model, writer, name, *args):
            with shares.open('a') as file:
                file.write(f'{get_rank()} {name}\n')
            return original(model, writer, name, *args)

        many_images.export_one = noted
        manifest = export(*tiny, photos, tmp_path / 'two')
        assert manifest['num_exported'] == 6  # on both

    assert run_ranks(2, share) == [None, None]
    lines = shares.read_text().split('\n')[:-1]
    assert sorted(line.split()[1] for line in lines) == sorted(
        ['0', '2', '3', '4', 'below/1', 'below/3', 'below/5']
    )
    assert {line[0] for line in lines} == {'0', '1'}


@pytest.mark.parametrize('fails', [0, 1])
def test_an_error_of_one_rank_ends_the_other(tiny, photos, tmp_path, fails):
    """And what both have done is not lost."""
    out = tmp_path / 'two'

    def failing():
        original = many_images.export_one

        def broken(model, writer, name, *args):
            if get_rank() == fails and name not in ('0', '2'):
                raise OSError('the cable is out')
            return original(model, writer, name, *args)

        many_images.export_one = broken
        export(*tiny, photos, out)

    errors = run_ranks(2, failing)
    assert str(errors[fails]) == 'the cable is out'
    assert isinstance(errors[1 - fails], RankError)
    assert_whole(out)
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['complete'] is False
    rows = journal_rows(out)
    assert len(rows) >= 4  # all of the other rank, one of this
    assert {row['name'] for row in manifest['images']} <= {
        row['name'] for row in rows
    }
    # One process goes on where two have stopped.
    export(*tiny, photos, out, resume=True)
    export(*tiny, photos, tmp_path / 'one')
    assert contents(out) == contents(tmp_path / 'one')


def test_an_error_of_the_main_rank_is_told_to_all(tiny, photos, tmp_path):
    (tmp_path / 'two').mkdir()
    (tmp_path / 'two' / 'file').write_text('mine')

    def refused():
        with pytest.raises(FileExistsError, match='not empty'):
            export(*tiny, photos, tmp_path / 'two')

    assert run_ranks(2, refused) == [None, None]


def test_two_ranks_resume_what_one_began(tiny, photos, tmp_path):
    export(*tiny, photos, tmp_path / 'one')
    out = tmp_path / 'two'
    export(*tiny, photos, out)
    (out / 'class' / '4.png').unlink()
    (out / 'class' / 'below' / '5.png').unlink()
    both = run_ranks(2, lambda: export(*tiny, photos, out, resume=True))
    assert both[0]['complete'] and both[0] == both[1]
    assert contents(out) == contents(tmp_path / 'one')
