"""A stopped comparison goes on where it was, bit for bit."""

import itertools
import os
import shutil
import signal

import pytest
import torch
from mmengine.dist import get_rank

from mmseg_ddu.apis import compare
from mmseg_ddu.apis.compare import method_runs, results_file, row_counts
from mmseg_ddu.apis.compare.results_file import FOLDER
from mmseg_ddu.engine.stopping import Interrupted
from tests.processes import run_ranks

from .conftest import SETTING, assert_same_figures, figures

IMAGES = 8


def run(cfg, names, out, **options):
    return compare(cfg, names, out, **{**SETTING, **options})


def saved(out):
    """Images counted, of the only group that is unfinished."""
    (path,) = (out / FOLDER).glob('*/[!.]*.pth')
    content = torch.load(path, weights_only=True)
    return content['done']


def before_image(number, action):
    """Do something in the middle of counting an image."""
    original, count = row_counts.RowCounts.update, itertools.count()

    def update(self, pool, *args):
        if pool == 'plain' and next(count) == number:
            action()
        original(self, pool, *args)

    return update


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dies_while_counting(patch):
    patch.setattr(row_counts.RowCounts, 'update', before_image(2, die))
    return 2


def dies_while_saving(patch):
    original, count = torch.save, itertools.count()

    def save(content, path):
        original(content, path)
        if next(count) == 3:
            os.truncate(path, path.stat().st_size // 2)
            die()

    patch.setattr(torch, 'save', save)
    return 3


def dies_when_all_is_counted(patch):
    patch.setattr(results_file.ResultsFile, 'add', lambda *args: die())
    return IMAGES


@pytest.mark.parametrize(
    'fault', [dies_while_counting, dies_while_saving, dies_when_all_is_counted]
)
def test_killed(fault, alone, few, sample_cfg, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        counted = fault(patch)
        with pytest.raises(EOFError):  # nothing comes from a killed one
            run_ranks(1, lambda: run(sample_cfg, few, tmp_path, save_every=0))
    assert saved(tmp_path) == counted
    seen = []
    original = row_counts.RowCounts.update
    monkeypatch.setattr(
        row_counts.RowCounts,
        'update',
        lambda self, *args: (seen.append(args), original(self, *args)),
    )
    content = run(sample_cfg, few, tmp_path)
    assert figures(content) == figures(alone)
    assert len(seen) == 2 * IMAGES - counted  # two groups
    assert not (tmp_path / FOLDER).exists()
    assert not list(tmp_path.glob('.tmp*.pth'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves(number, few, alone, sample_cfg, tmp_path, monkeypatch):
    """In the second group; the first is in the results."""
    with monkeypatch.context() as patch:
        send = before_image(4 + 1, lambda: os.kill(os.getpid(), number))
        patch.setattr(row_counts.RowCounts, 'update', send)
        with pytest.raises(Interrupted, match='with 2 of 8 .* same command'):
            run(sample_cfg, few, tmp_path)
    assert saved(tmp_path) == 2
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    assert figures(run(sample_cfg, few, tmp_path)) == figures(alone)


def stopped(cfg, names, out):
    """The second rank is told to stop at its second image."""
    if get_rank() == 1:
        row_counts.RowCounts.update = before_image(
            1, lambda: os.kill(os.getpid(), signal.SIGTERM)
        )
    return run(cfg, names, out)


def test_ranks_stop_together_and_go_on(alone, few, sample_cfg, tmp_path):
    def going_on(out):
        return run(sample_cfg, few[:2], out)

    results = run_ranks(2, stopped, sample_cfg, few[:2], tmp_path / 'a')
    for error in results:
        assert isinstance(error, Interrupted)
        assert str(error).startswith('Stopped with 4 of 8 images')
    assert saved(tmp_path / 'a') == 4
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    two = run_ranks(2, going_on, tmp_path / 'a')[0]
    three = run_ranks(3, going_on, tmp_path / 'b')[0]
    straight = run_ranks(2, going_on, tmp_path / 'c')[0]
    assert figures(two) == figures(straight)
    assert_same_figures(three, alone, few[:2])


def test_belongs_to_its_settings(files, few, sample_cfg, tmp_path):
    """Other weights of that name start anew, and so do damaged files."""
    weights = tmp_path / 'weights.pth'
    shutil.copy(files['a'], weights)
    names = [f'entropy={weights}']
    out = tmp_path / 'out'

    def stop_at(image, **options):
        with pytest.MonkeyPatch.context() as patch:
            stop = before_image(
                image, lambda: os.kill(os.getpid(), signal.SIGINT)
            )
            patch.setattr(row_counts.RowCounts, 'update', stop)
            with pytest.raises(Interrupted):
                run(sample_cfg, names, out, shifts=['none'], **options)
        return {
            path: torch.load(path, weights_only=True)['done']
            for path in (out / FOLDER).glob('*/[!.]*.pth')
        }

    first = stop_at(1)
    assert list(first.values()) == [2]
    shutil.copy(files['b'], weights)
    assert sorted(stop_at(0).values()) == [1, 2]
    shutil.copy(files['a'], weights)
    assert sorted(stop_at(0).values()) == [1, 3]
    (path,) = first
    path.write_bytes(path.read_bytes()[:-100])
    assert sorted(stop_at(0).values()) == [1, 1]
    assert list(stop_at(1, overwrite=True).values()) == [2]


def test_a_full_disk_stops_nothing(
    alone, few, sample_cfg, tmp_path, monkeypatch
):
    def full(content, path):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    content = run(sample_cfg, few[:1], tmp_path, save_every=0)
    assert_same_figures(content, alone, few[:1])


def test_a_signal_after_the_last_image(
    alone, few, sample_cfg, tmp_path, monkeypatch
):
    original = row_counts.RowCounts.save

    def save(self, *args):
        os.kill(os.getpid(), signal.SIGTERM)
        original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(row_counts.RowCounts, 'save', save)
        with pytest.raises(KeyboardInterrupt):
            run(sample_cfg, few[:1], tmp_path)
    assert saved(tmp_path) == IMAGES
    content = run(sample_cfg, few[:1], tmp_path)
    assert_same_figures(content, alone, few[:1])


def test_saves_in_time(few, sample_cfg, tmp_path, monkeypatch):
    """Ten seconds an image, and as many for a saving."""
    clock, done = itertools.count(0, 10), []
    monkeypatch.setattr(method_runs, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(
        row_counts.RowCounts, 'save', lambda self, *args: done.append(args[1])
    )
    run(sample_cfg, few[:1], tmp_path, save_every=25)
    assert done == [3, 6, IMAGES]
