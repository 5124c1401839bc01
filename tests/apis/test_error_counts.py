"""Counts of errors that are kept, and what they may be reused for."""

import json
import os
import shutil
import signal

import pytest

from mmseg_ddu.apis import error_counts, fit_abstention, fit_gda
from mmseg_ddu.core import risk_control
from mmseg_ddu.engine.stopping import Interrupted
from mmseg_ddu.fileio import alone_at


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    return fit_gda(plain_cfg, checkpoint, save_every=None)


@pytest.fixture
def counted(monkeypatch):
    """A list that grows with each image that is predicted."""
    count, seen = error_counts._count, []

    def counting(*args):
        seen.append(1)
        return count(*args)

    monkeypatch.setattr(error_counts, '_count', counting)
    return seen


def journal_of(fitted):
    (journal,) = fitted.parent.glob('*_errors.jsonl')
    return journal


def test_ctrl_c_loses_no_image(plain_cfg, fitted, monkeypatch):
    whole = fit_abstention(
        plain_cfg, fitted, 0.97, out=fitted.with_name('a.pth')
    )
    journal = journal_of(fitted)
    journal.unlink()
    count, seen = error_counts._count, []

    def stopping(*args):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return count(*args)

    monkeypatch.setattr(error_counts, '_count', stopping)
    with pytest.raises(Interrupted, match='2 of 4'):
        fit_abstention(plain_cfg, fitted, 0.97)
    with journal.open('a') as file:
        file.write('{"image": 3, "cou')  # a kill within a line
    for _ in range(2):  # the cut line is gone, and swallows no other
        assert fit_abstention(plain_cfg, fitted, 0.97) == whole
        assert len(seen) == 4
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [row['image'] for row in rows[1:]] == [0, 1, 2, 3]


@pytest.mark.parametrize('folder', ['JPEGImages', 'SegmentationClass'])
def test_files_that_were_changed_in_place(
    folder, plain_cfg, fitted, counted, tmp_path
):
    dataset = plain_cfg.val_dataloader.dataset
    root = shutil.copytree(dataset.data_root, tmp_path / 'copy')
    dataset.data_root = str(root)
    before = fit_abstention(plain_cfg, fitted, 0.97)
    first, second = sorted((root / folder).glob('val_*'))[:2]
    shutil.copy(second, first)  # the same name, other contents
    after = fit_abstention(plain_cfg, fitted, 0.97)
    assert len(counted) == 8 and after != before
    fit_abstention(plain_cfg, fitted, 0.97)
    assert len(counted) == 8


@pytest.mark.parametrize('change', ['levels', 'mode'])
def test_counts_of_other_settings(
    change, plain_cfg, fitted, counted, monkeypatch
):
    fit_abstention(plain_cfg, fitted, 0.97)
    if change == 'levels':
        for module in (risk_control, error_counts):
            monkeypatch.setattr(module, 'STEP', 0.01)
    else:
        plain_cfg.model.test_cfg = dict(
            mode='slide', crop_size=(48, 48), stride=(32, 32)
        )
    fit_abstention(plain_cfg, fitted, 0.97)
    assert len(counted) == 8


def test_one_process_at_a_time(plain_cfg, fitted, counted):
    path = fitted.with_name(f'{fitted.stem}.val_errors.jsonl')
    with (
        alone_at(path),
        pytest.raises(OSError, match='Another process is at work'),
    ):
        fit_abstention(plain_cfg, fitted, 0.97)
    assert not counted and not path.exists()


def test_nothing_is_written_beside_the_checkpoint(
    plain_cfg, fitted, counted, tmp_path
):
    """Its folder may be read-only, if another file is written."""
    before = sorted(fitted.parent.iterdir())
    out = tmp_path / 'mine' / 'a.pth'
    for _ in range(2):
        fit_abstention(plain_cfg, fitted, 0.97, out=out)
    there = sorted({*fitted.parent.iterdir()} - {out.parent})
    assert out.is_file() and there == before and len(counted) == 4


GOOD = [0, 3, 10, 1]


@pytest.mark.parametrize(
    'row',
    [
        '[1]',
        'null',
        '{"image": 0}',
        '{"image": 0, "counts": 3}',
        '{"image": [0], "counts": []}',
        '{"image": 9, "counts": []}',
        *(
            json.dumps(dict(image=0, counts=[bad, GOOD]))
            for bad in (
                GOOD[:3],
                [6, 3, 10, 1],
                [-1, 3, 10, 1],
                [0, risk_control.LEVELS + 1, 10, 1],
                [0, -1, 10, 1],
                [0, 3, 10, 11],
                [0, 3, 0, 0],
                [0, 3, 10, -1],
                [0, 3, 10**400, 1],
                [0, 3, 10.0, 1],
                ['0', 3, 10, 1],
                None,
            )
        ),
        '{"image": 0, "cou',
        '[' * 100_000,
    ],
)
def test_damaged_counts(row, tmp_path):
    """Each is a whole line, so it was no kill that left it."""
    path, belongs = tmp_path / 'a.jsonl', dict(weights='a')
    good = json.dumps(dict(image=1, counts=[GOOD]))
    path.write_text(f'{json.dumps(belongs)}\n{good}\n{row}\n')
    with (
        path.open('a+b') as file,
        pytest.raises(ValueError, match='is damaged. Remove it'),
    ):
        error_counts._begin(file, path, belongs, (2, 6))


def test_a_folder_is_no_file_to_write(plain_cfg, fitted, counted, tmp_path):
    with pytest.raises(OSError, match='is a folder. Name a file in it'):
        fit_abstention(plain_cfg, fitted, 0.97, out=tmp_path)
    (fitted.parent / f'{fitted.stem}.val_errors.jsonl').mkdir()
    with pytest.raises(OSError, match=r'errors\.jsonl: it is a folder'):
        fit_abstention(plain_cfg, fitted, 0.97)
    assert not counted


def test_void_images_do_not_count(plain_cfg, fitted):
    report = fit_abstention(plain_cfg, fitted, 0.97)
    journal = journal_of(fitted)
    lines = journal.read_text().splitlines()
    for number in range(1, len(lines)):
        row = json.loads(lines[number])
        lines[number] = json.dumps(dict(row, counts=[]))
    journal.write_text('\n'.join(lines) + '\n')
    assert report['images'] == 4
    with pytest.raises(ValueError, match='has a labelled pixel'):
        fit_abstention(plain_cfg, fitted, 0.97)
