"""What the other questions of the proof are asked of."""

import argparse
from functools import partial

import pytest

from benchmarks.proof import shared_work
from benchmarks.proof.kept_answers import KeptAnswer
from benchmarks.proof.networks import NETWORKS
from benchmarks.proof.questions import alone, of_network, work_of
from benchmarks.proof.shared_work import share
from benchmarks.proof.training_statistics import CELLS, training_statistics
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.fileio import alone_at

ASKED = argparse.Namespace(
    images=None, fit_images=None, shift_images=5, only=None
)


def test_what_is_kept_is_of_the_same_settings(tmp_path):
    file = tmp_path / 'a.json'
    args = of_network(ASKED, NETWORKS['deeplabv3plus_mnv2_voc5'])
    assert (args.fit_images, args.images, args.shift_images) == (400, 80, 5)
    asked = []
    for _ in range(2):
        part = KeptAnswer(
            file, lambda x, _: asked.append(x) or dict(y=x), (3, args)
        )
        share(work_of(dict(seeds=dict(a=part)), args))
        assert part.answer() == dict(y=3) and asked == [3]
    args.images = 81
    with pytest.raises(ValueError, match='is of other settings'):
        work_of(dict(seeds=dict(a=part)), args)


def test_work_is_shared_with_another_process(tmp_path, monkeypatch):
    """One file is being made by another; it is left to it until the end."""
    monkeypatch.setattr(shared_work, 'PAUSE', 0)
    made = []
    files = [tmp_path / name for name in 'abc']
    files[2].touch()
    others = alone_at(files[0])
    others.__enter__()

    def make(file):
        made.append(file.name)
        file.touch()
        if file == files[1]:  # the other one was stopped
            others.__exit__(None, None, None)

    share({file: partial(make, file) for file in files})
    assert made == ['b', 'a']


def test_what_another_process_made_is_not_made_again(tmp_path, monkeypatch):
    file = tmp_path / 'a'
    others = alone_at(file)
    others.__enter__()

    def wait(_):
        file.touch()
        others.__exit__(None, None, None)

    monkeypatch.setattr(shared_work.time, 'sleep', wait)
    share({file: lambda: pytest.fail('made twice')})


def test_networks_that_are_trained_here_have_no_defaults_to_choose():
    names = alone(ASKED)
    assert len(names) == len(NETWORKS) - 1
    assert not any(NETWORKS[name].members for name in names)


def test_statistics_of_training_leave_out_void(plain_cfg, checkpoint):
    """As the densities do: unknown objects may lie there."""
    fitted = fit_gda(plain_cfg, checkpoint)
    model = init_ddu(plain_cfg, fitted)
    dataset = fitting_dataset(fitting_dataset_config(model.cfg))

    class Relabelled:
        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return 3

        def __getitem__(self, index):
            item = dataset[index]
            item['data_samples'].gt_sem_seg.data[:, : self.rows] = 255
            return item

    height = dataset[0]['data_samples'].gt_sem_seg.shape[0]
    few, every = (
        training_statistics(model, Relabelled(rows), 0).bank
        for rows in (height - 4, 0)
    )
    assert 0 < len(few) < len(every) == 3 * CELLS
