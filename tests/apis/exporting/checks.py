"""What must hold of an output folder whatever happened before."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import export
from mmseg_ddu.apis.exporting import many_images, one_image
from mmseg_ddu.fileio import LOCK, TEMPORARY


def contents(out: Path) -> dict[str, bytes]:
    """All files of a folder, but for those half written and the lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob('*'))
        if path.is_file() and not path.name.startswith((TEMPORARY, LOCK))
    }


def journal_rows(out: Path) -> list[dict]:
    """Rows of all journals; only the last line of one may be cut off."""
    rows = []
    for path in sorted(out.glob('manifest*.jsonl')):
        lines = path.read_bytes().split(b'\n')
        rows += [json.loads(line) for line in lines[:-1]]
    return [row for row in rows if 'image' in row]


def assert_whole(out: Path) -> None:
    """Every file but temporary ones can be read to its end."""
    for path in out.rglob('*'):
        if path.name.startswith((TEMPORARY, LOCK)) or path.is_dir():
            continue
        if path.suffix == '.npy':
            assert np.isfinite(np.load(path)).all()
        elif path.suffix == '.png':
            with Image.open(path) as image:
                image.load()
        elif path.name == 'manifest.json':
            json.loads(path.read_text())
        else:
            assert re.fullmatch(r'manifest(\.\d+)?\.jsonl', path.name), path


def assert_manifest_is_the_disk(out: Path) -> dict:
    """The manifest names the files that are there, and no other."""
    manifest = json.loads((out / 'manifest.json').read_text())
    named = {
        file
        for row in manifest['images']
        for file in row.get('files', {}).values()
    }
    there = {name for name in contents(out) if not name.startswith('manifest')}
    assert named == there
    assert not list(out.rglob(f'{TEMPORARY}*'))
    return manifest


def in_child(function: Callable[[], object]) -> int:
    """Run a function in a fork; its exit status, negative for a signal."""
    pid = start_child(function)
    return end_of(pid)


def start_child(function: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        function()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        print(type(error).__name__, error, flush=True)
        code = 2
    finally:
        os._exit(code)


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def stopped(tiny, photos, out, after=3):
    """An export that lost its network after some images."""

    def broken(*args):
        raise RuntimeError('out of order')

    calls = []

    def works_for_a_while(*args):
        calls.append(args)
        return one_image.export_one(*args) if len(calls) <= after else broken()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_images, 'export_one', works_for_a_while)
        with pytest.raises(RuntimeError, match='out of order'):
            export(*tiny, photos, out)
