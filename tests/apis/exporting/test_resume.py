"""Exports that are stopped, in every way, and go on."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from mmseg_ddu.apis import export
from mmseg_ddu.apis.exporting import journal as journal_module
from mmseg_ddu.apis.exporting import many_images, one_image
from mmseg_ddu.engine.stopping import Interrupted
from tests.stand_in import make_stand_in

from .checks import (
    assert_manifest_is_the_disk,
    assert_whole,
    contents,
    in_child,
    journal_rows,
    stopped,
)


@pytest.fixture
def whole(tiny, photos, tmp_path):
    """An export that nothing disturbed."""
    export(*tiny, photos, tmp_path / 'whole')
    return contents(tmp_path / 'whole')


class Killer:
    """Kills its process at the n-th step of writing something."""

    def __init__(self, step: int, patch: pytest.MonkeyPatch) -> None:
        self.left = step
        replace, append = os.replace, journal_module.Journal.append

        def killed_replace(*args):
            self.count()
            replace(*args)
            self.count()

        def killed_append(journal, row):
            line = json.dumps(row).encode() + b'\n'
            if self.left == 1:  # in the middle of the line
                journal._file.write(line[: len(line) // 2])
            self.count()
            append(journal, row)

        patch.setattr(os, 'replace', killed_replace)
        patch.setattr(journal_module.Journal, 'append', killed_append)

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_again_and_again(tiny, photos, tmp_path, whole):
    out = tmp_path / 'maps'
    rng = np.random.default_rng(0)
    killed = 0
    # Seventeen files an image, two steps each: always some progress.
    for step in [1, 2, 3, 71, *rng.integers(36, 90, 20)]:

        def one_try(step=step):
            with pytest.MonkeyPatch.context() as patch:
                Killer(int(step), patch)
                export(*tiny, photos, out, resume=True)

        status = in_child(one_try)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        assert_whole(out)
        rows = {row['name'] for row in journal_rows(out)}
        done = {
            str(path.relative_to(out / 'overlay').with_suffix(''))
            for path in (out / 'overlay').rglob('[!.]*.png')
        }
        assert len(done - rows) <= 1
    assert status == 0 and killed >= 6
    assert contents(out) == whole
    assert not list(out.rglob('.tmp-*'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_let_the_image_be_finished(
    tiny, photos, tmp_path, whole, number, monkeypatch
):
    out = tmp_path / 'maps'
    prepare = one_image.prepare

    def interrupted(model, path):
        if path.stem == '2':
            os.kill(os.getpid(), number)
        return prepare(model, path)

    def stopped():
        saved = 'after 2 of 7 images; the same command with --resume'
        with pytest.raises(Interrupted, match=saved) as caught:
            export(*tiny, photos, out)
        raise caught.value

    monkeypatch.setattr(one_image, 'prepare', interrupted)
    assert in_child(stopped) == 130
    manifest = assert_manifest_is_the_disk(out)
    assert manifest['complete'] is False
    assert [row['name'] for row in manifest['images']] == ['0', '2']
    monkeypatch.undo()
    export(*tiny, photos, out, resume=True)
    assert contents(out) == whole


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(
    number, tiny, photos, tmp_path, monkeypatch
):
    out = tmp_path / 'maps'
    prepare = one_image.prepare

    def interrupted(model, path):
        if path.stem == '2':
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        return prepare(model, path)

    monkeypatch.setattr(one_image, 'prepare', interrupted)
    assert in_child(lambda: export(*tiny, photos, out)) == 130
    manifest = assert_manifest_is_the_disk(out)
    assert [row['name'] for row in manifest['images']] == ['0']


def test_only_what_is_missing_is_predicted(
    tiny, photos, tmp_path, whole, monkeypatch
):
    out = tmp_path / 'maps'
    stopped(tiny, photos, out)
    assert json.loads((out / 'manifest.json').read_text())['complete'] is False
    predicted = []
    export_one = one_image.export_one

    def counted(model, writer, name, *args):
        predicted.append(name)
        return export_one(model, writer, name, *args)

    monkeypatch.setattr(many_images, 'export_one', counted)
    export(*tiny, photos, out, resume=True)
    assert contents(out) == whole
    # '3' is the damaged one, which is tried again.
    assert predicted == ['3', '4', 'below/1', 'below/3', 'below/5']
    # A complete one: files are looked at, and mended.
    predicted.clear()
    (out / 'epistemic/0.npy').write_bytes(b'\x93NUMPY')
    (out / 'class/below/1.png').write_bytes(b'\x89PNG')
    (out / 'overlay/2.png').unlink()
    export(*tiny, photos, out, resume=True)
    assert predicted == ['0', '2', '3', 'below/1']
    assert contents(out) == whole


def test_resume_of_nothing_begins(tiny, photos, tmp_path, whole):
    out = tmp_path / 'maps'
    export(*tiny, photos, out, resume=True)
    assert contents(out) == whole
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'file').write_text('mine')
    with pytest.raises(FileExistsError, match='no export was begun'):
        export(*tiny, photos, tmp_path / 'other', resume=True)
    with pytest.raises(ValueError, match='but got both'):
        export(*tiny, photos, out, resume=True, overwrite=True)


def test_one_export_at_a_time(tiny, photos, tmp_path, monkeypatch):
    """From its first moment to its last; the second one changes nothing."""
    out = tmp_path / 'maps'
    real = many_images.init_ddu, one_image.export_one
    seen = []

    def refused():
        before = contents(out)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(many_images, 'init_ddu', real[0])
            patch.setattr(many_images, 'export_one', real[1])
            for how in ({}, dict(resume=True), dict(overwrite=True)):
                with pytest.raises(BlockingIOError, match='choose another'):
                    export(*tiny, photos, out, **how)
                assert contents(out) == before
        seen.append(len(before))

    def while_loading(*args, **options):
        refused()
        return real[0](*args, **options)

    def while_exporting(*args):
        refused()
        return real[1](*args)

    monkeypatch.setattr(many_images, 'init_ddu', while_loading)
    monkeypatch.setattr(many_images, 'export_one', while_exporting)
    export(*tiny, photos, out)
    assert len(seen) == 8 and seen[0] == 0
    monkeypatch.undo()
    export(*tiny, photos, out, overwrite=True)


def test_nothing_is_left_in_a_folder_of_other_files(tiny, photos, tmp_path):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'file').touch()
    for how in ({}, dict(resume=True)):
        with pytest.raises(FileExistsError, match='is not empty'):
            export(*tiny, photos, mine, **how)
    assert [path.name for path in mine.iterdir()] == ['file']


def test_a_folder_in_the_place_of_the_manifest(tiny, photos, tmp_path):
    (tmp_path / 'maps' / 'manifest.json').mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match='manifest.json: it is a fold'):
        export(*tiny, photos, tmp_path / 'maps', overwrite=True)


def test_other_settings_are_refused(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    stopped(tiny, photos, out)
    before = contents(out)
    cases = [
        (dict(pictures=False), 'formats'),
        (dict(tta=True), 'tta'),
        (
            dict(cfg_options={'model.test_cfg.mode': 'slide'}),
            'config_sha256',
        ),
    ]
    for options, what in cases:
        with pytest.raises(ValueError, match=f'other settings: .*{what}'):
            export(*tiny, photos, out, resume=True, **options)
    assert contents(out) == before


def test_another_limit_is_that_of_all_images(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    for limit in (500, 100_000, 530):
        export(*tiny, photos, out, resume=True, max_pixels=limit)
        again = tmp_path / str(limit)
        export(*tiny, photos, again, max_pixels=limit)
        first, second = (
            json.loads((folder / 'manifest.json').read_text())
            for folder in (out, again)
        )
        assert first == second
    errors = ['error' in row for row in first['images']]
    assert errors == [False, False, True, True, False, True, True]


def test_inputs_that_come_and_go(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    stopped(tiny, photos, out)
    (photos / '3.jpg').unlink()
    (photos / '2.png').rename(photos / '7.png')
    manifest = export(*tiny, photos, out, resume=True)
    names = [row['name'] for row in manifest['images']]
    assert names == ['0', '4', '7', 'below/1', 'below/3', 'below/5']
    assert manifest['complete'] and manifest['num_skipped'] == 0


def test_the_output_folder_may_lie_among_the_images(tiny, photos):
    out = photos / 'maps'
    first = export(*tiny, photos, out)
    again = export(*tiny, photos, out, overwrite=True)
    assert len(first['images']) == len(again['images']) == 7
    with pytest.raises(ValueError, match='the folder of images itself'):
        export(*tiny, photos, photos, overwrite=True)


def test_sampled_maps_do_not_depend_on_where_it_stopped(photos, tmp_path):
    """MC dropout draws the same for an image, whatever came before."""
    args = *make_stand_in(tmp_path, sampled=True), photos
    export(*args, tmp_path / 'one')
    stopped(args[:2], photos, tmp_path / 'two')
    export(*args, tmp_path / 'two', resume=True)
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')
