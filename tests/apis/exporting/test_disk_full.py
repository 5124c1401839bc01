"""The disk is full in the middle."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from mmseg_ddu.apis import export
from mmseg_ddu.apis.exporting import journal as journal_module

from .checks import assert_manifest_is_the_disk, contents

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(patch: pytest.MonkeyPatch, after: int) -> None:
    """No room after so many maps, but for the manifest."""
    write = Path.write_bytes
    calls = []

    def limited(path, data):
        calls.append(path)
        if len(calls) > after:
            write(path, bytes(data)[: len(data) // 2])
            raise FULL
        return write(path, data)

    patch.setattr(Path, 'write_bytes', limited)


@pytest.mark.parametrize('after', [0, 1, 16, 17, 18, 40, 101])
def test_full_within_an_image(tiny, photos, tmp_path, after):
    out = tmp_path / 'maps'
    with pytest.MonkeyPatch.context() as patch:
        fill(patch, after)
        with pytest.raises(OSError, match='is full.*free.*--resume'):
            export(*tiny, photos, out)
    manifest = assert_manifest_is_the_disk(out)
    assert manifest['num_exported'] == after // 17
    export(*tiny, photos, out, resume=True)
    export(*tiny, photos, tmp_path / 'whole')
    assert contents(out) == contents(tmp_path / 'whole')


def test_full_within_a_line_of_the_journal(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    append = journal_module.Journal.append

    class HalfFile:
        """Takes half of what it is given, then nothing."""

        def __init__(self, file):
            self.file, self.full = file, False

        def write(self, data):
            if self.full:
                raise FULL
            self.full = True
            return self.file.write(data[: len(data) // 2])

        def __getattr__(self, name):
            return getattr(self.file, name)

    def half(journal, row):
        if row['name'] == '4':
            journal._file = HalfFile(journal._file)
        append(journal, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module.Journal, 'append', half)
        with pytest.raises(OSError, match='--resume'):
            export(*tiny, photos, out)
    assert (out / 'manifest.jsonl').read_bytes().endswith(b'}\n')
    manifest = assert_manifest_is_the_disk(out)
    assert [row['name'] for row in manifest['images']] == ['0', '2', '3']
    export(*tiny, photos, out, resume=True)
    assert len(assert_manifest_is_the_disk(out)['images']) == 7


def test_no_room_for_the_manifest(tiny, photos, tmp_path):
    """The last images are given up for it."""
    out = tmp_path / 'maps'
    write_json = journal_module.write_json

    def limited(path, value):
        if len(value['images']) > 4:
            raise FULL
        write_json(path, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, 'write_json', limited)
        with pytest.raises(OSError, match='is full.*--resume'):
            export(*tiny, photos, out)
    manifest = assert_manifest_is_the_disk(out)
    assert len(manifest['images']) == 4 and not manifest['complete']
    export(*tiny, photos, out, resume=True)
    export(*tiny, photos, tmp_path / 'whole')
    assert contents(out) == contents(tmp_path / 'whole')


def test_other_errors_give_nothing_up(tiny, photos, tmp_path, monkeypatch):
    def refuse(path, value):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(journal_module, 'write_json', refuse)
    with pytest.raises(PermissionError):
        export(*tiny, photos, tmp_path / 'maps')
    assert len(list((tmp_path / 'maps/class').rglob('*.png'))) == 6


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, where that is allowed."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=400k', 'none', str(folder)]
    try:
        done = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        pytest.skip('there is no mount')
    if done.returncode:
        pytest.skip('mounting is not allowed')
    yield folder
    subprocess.run(['umount', str(folder)], check=True)


def test_a_disk_that_is_really_full(tiny, photos, tmp_path, small_disk):
    out = small_disk / 'maps'
    with pytest.raises(OSError, match='is full.*--resume'):
        export(*tiny, photos, out)
    manifest = assert_manifest_is_the_disk(out)
    assert 0 < manifest['num_exported'] < 6 and not manifest['complete']
    grow = ['mount', '-o', 'remount,size=20m', str(small_disk)]
    subprocess.run(grow, check=True)
    export(*tiny, photos, out, resume=True)
    export(*tiny, photos, tmp_path / 'whole')
    assert contents(out) == contents(tmp_path / 'whole')
