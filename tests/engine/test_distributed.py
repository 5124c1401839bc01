"""Fits of several processes: as one, whatever the split, and no hang."""

import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.dist import is_main_process
from PIL import Image

from mmseg_ddu.engine import fit_gda, fitting_data, training_pass
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.ranks import (
    VARIABLES,
    RankError,
    from_each_rank,
    join,
    together,
)
from mmseg_ddu.engine.stopping import Interrupted
from tests.engine.pixel_network import drawn_image, pixel_network
from tests.processes import run_ranks
from tests.warm_processes import call, run_script

HELD_OUT = (1, 4)


def collected(split):
    """What the process of this number collects, with those of the others."""
    model = pixel_network(classes=4, covariance_type='tied')
    options = dict(covariance_type='diag', components=2, preset='ddu-paper')
    model.extra_heads['parts'] = model._build_head(options)
    fitter = DensityFitter(
        model, held_out=HELD_OUT, pixels_per_class=9, calibration_pixels=50
    )
    images = {
        index: drawn_image(index, 2 + (index > 2), shift=1000.0)
        for index in split[fitting_data.get_dist_info()[0]]
    }
    for index, image in images.items():
        fitter.look(image, index)
    fitter.use_centers(fitter.find_centers())
    for index, image in images.items():
        if index not in HELD_OUT:
            fitter.update(image, index)
    fitter.synchronize()
    fitter.fit_others()
    for index in HELD_OUT:
        if index in images:
            fitter.update(images[index], index)
    fitter.join()
    assert not fitter.fit_all()
    fitter.finalize()
    return fitter.sums.state_dict(), model.state_dict()


def assert_same_moments(got, expected):
    """To 1e-10 of each entry's own scale, or of its class's spread."""
    assert len(got['moments']) == len(expected['moments']) > 0
    for mine, other in zip(got['moments'], expected['moments']):
        assert torch.equal(mine['counts'], other['counts'])
        assert torch.equal(mine['nonfinite'], other['nonfinite'])
        for name in ('means', 'scatters'):
            for a, b in zip(mine[name], other[name]):
                torch.testing.assert_close(
                    a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max())
                )
    assert torch.equal(got['class_count'], expected['class_count'])
    assert torch.equal(got['images'], expected['images'])
    sample, reference = got['statistics'], expected['statistics']
    assert torch.equal(sample['keys'], reference['keys'])
    pairs = [(sample['values'], reference['values'])]
    pairs.append((got['centers'], expected['centers']))
    for mine, other in pairs:
        assert len(mine) == len(other)
        assert all(torch.equal(a, b) for a, b in zip(mine, other))


@pytest.mark.parametrize(
    'split',
    [
        [[0, 2, 4, 6], [1, 3, 5]],
        [[0], [6, 5, 4, 3, 2, 1]],
        [[], [0, 1, 2, 3, 4, 5, 6]],  # a process without an image
        [[0, 1, 2], [3, 4, 5, 6]],  # the first has no pixel of class 2
        [[0, 5], [], [1, 2, 3], [4, 6]],
    ],
)
def test_any_split_gives_what_one_process_does(split):
    expected, state = collected([range(7)])
    assert expected['moments'][0]['counts'].tolist()[3] == 0
    results = run_ranks(len(split), collected, split)
    for got, own in results:
        assert_same_moments(got, expected)
        for name, value in state.items():
            torch.testing.assert_close(own[name], value, msg=name)
    for name, value in results[0][1].items():
        assert torch.equal(results[-1][1][name], value), name


def test_an_image_of_two_processes_does_not_count_twice():
    """As a sampler deals them out that fills up the last process."""
    for error in run_ranks(2, collected, [[0, 2, 4], [1, 3, 0]]):
        assert isinstance(error, ValueError)
        assert 'Image 0 was seen by two processes' in str(error)


@pytest.mark.parametrize('world', [1, 2, 3, 7, 16])
def test_shares_hold_every_image_once(world, monkeypatch):
    for total in range(20):
        shares = []
        for rank in range(world):
            monkeypatch.setattr(
                fitting_data, 'get_dist_info', lambda rank=rank: (rank, world)
            )
            shares += fitting_data.share_of_rank(range(total))
        assert sorted(shares) == list(range(total))


def fit_and_tell(cfg, checkpoint, out, **options):
    """A fit; what was collected, before it is turned into densities."""
    told = []
    finalize = DensityFitter.finalize

    def telling(self):
        told.append(self.sums.state_dict())
        return finalize(self)

    training_pass.IMAGES_TOGETHER = 2
    DensityFitter.finalize = telling
    try:
        fit_gda(cfg, checkpoint, out, **options)
    finally:
        DensityFitter.finalize = finalize
        training_pass.IMAGES_TOGETHER = 8
    return told[0]


@pytest.mark.parametrize('images, world', [(5, 2), (2, 4)])
def test_fit_of_images_that_do_not_divide(
    images, world, plain_cfg, checkpoint, tmp_path
):
    """2 images for 4 processes: two of them have none."""
    plain_cfg.train_dataloader.dataset.indices = images
    options = dict(pixels_per_class=None, calibration_fraction=0.5)
    one, many = tmp_path / 'one.pth', tmp_path / 'many.pth'
    expected = fit_and_tell(plain_cfg, checkpoint, one, **options)
    results = run_ranks(
        world, lambda: fit_and_tell(plain_cfg, checkpoint, many, **options)
    )
    for got in results:
        assert_same_moments(got, expected)
    second = read_checkpoint(many)['state_dict']
    for key, value in read_checkpoint(one)['state_dict'].items():
        torch.testing.assert_close(second[key], value, msg=key)


def test_bad_label_of_one_process_ends_all(
    plain_cfg, checkpoint, sample_root, tmp_path
):
    root = tmp_path / 'copy'
    shutil.copytree(sample_root, root)
    mask = root / 'SegmentationClass' / 'train_0004.png'
    Image.fromarray(np.full((48, 48), 17, np.uint8)).save(mask)
    plain_cfg.train_dataloader.dataset.data_root = str(root)
    out = tmp_path / 'out.pth'
    well, failed = run_ranks(
        2, lambda: fit_and_tell(plain_cfg, checkpoint, out, save_every=60)
    )
    assert isinstance(failed, ValueError) and 'label 17' in str(failed)
    assert isinstance(well, RankError)
    assert 'Process 1 failed with ValueError: Found label 17' in str(well)
    assert not out.exists()


def test_what_each_process_gives():
    def give():
        rank = fitting_data.get_dist_info()[0]
        return list(from_each_rank('abc'[rank]))

    assert run_ranks(3, give) == [['a', 'b', 'c']] * 3


def test_all_processes_or_none():
    def work(error):
        with together():
            if error and fitting_data.get_dist_info()[0] == 1:
                raise error

    assert run_ranks(3, work, None) == [None] * 3
    first, second, third = run_ranks(3, work, OSError('no space'))
    assert isinstance(second, OSError)
    assert 'Process 1 failed with OSError: no space' in str(first)
    assert isinstance(third, RankError)
    for stopped in run_ranks(2, work, Interrupted('so far')):
        assert isinstance(stopped, Interrupted)


def test_a_process_that_is_killed_is_noticed(tmp_path):
    def work():
        try:
            with together():
                if fitting_data.get_dist_info()[0] == 1:
                    os._exit(9)
        except RankError as error:
            (tmp_path / 'noticed').write_text(str(error))

    with pytest.raises(EOFError):  # nothing comes from the killed one
        run_ranks(2, work)
    assert 'gone without a word' in (tmp_path / 'noticed').read_text()


SCONTROL = '#!/bin/sh\necho localhost\necho another\n'


def test_slurm_without_cuda(tmp_path, monkeypatch):
    """What srun sets, and a scontrol that knows two machines."""
    program = tmp_path / 'scontrol'
    program.write_text(SCONTROL)
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    given = dict(PROCID=0, NTASKS=1, LOCALID=0, NODELIST='n[1-2]')
    for name, value in given.items():
        monkeypatch.setenv(f'SLURM_{name}', str(value))
    monkeypatch.setenv('MASTER_PORT', '29531')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    try:
        join('slurm')
        join('slurm')  # once is enough
        assert os.environ['MASTER_ADDR'] == 'localhost'
        assert fitting_data.get_dist_info() == (0, 1)
    finally:
        torch.distributed.destroy_process_group()
    monkeypatch.delenv('SLURM_PROCID')
    with pytest.raises(ValueError, match='SLURM_PROCID.*srun'):
        join('slurm')


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_a_port_is_chosen_without_cuda(launcher, monkeypatch):
    """As with CUDA, where mmengine does."""
    joined = []
    monkeypatch.setattr(torch.distributed, 'init_process_group', joined.append)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', *VARIABLES[launcher]):
        monkeypatch.setenv(name, '0')
    monkeypatch.setenv('MASTER_ADDR', 'localhost')
    monkeypatch.setenv('MASTER_PORT', 'unknown')
    monkeypatch.delenv('MASTER_PORT')
    join(launcher)
    assert joined == ['gloo'] and os.environ['MASTER_PORT'] == '29500'


def telling(script, *args):
    finalize = DensityFitter.finalize

    def tell(self):
        if is_main_process():
            torch.save(self.sums.state_dict(), f'{args[-1]}.collected')
        return finalize(self)

    DensityFitter.finalize = tell
    run_script(script, *args)


def test_two_processes_of_the_tool_equal_one(plain_cfg, checkpoint, tmp_path):
    plain_cfg.train_dataloader.dataset.indices = 11
    plain_cfg.dump(tmp_path / 'cfg.py')
    expected = fit_and_tell(plain_cfg, checkpoint, tmp_path / 'one.pth')
    two = tmp_path / 'two.pth'
    paths = ('tools/fit_gda.py', tmp_path / 'cfg.py', checkpoint)
    options = ('--launcher', 'pytorch', '--out', two)
    done = call(telling, *paths, *options, ranks=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('next: python tools/test.py') == 1
    got = torch.load(f'{two}.collected', weights_only=True)
    assert_same_moments(got, expected)
    assert read_checkpoint(two)['meta']['gda']['images'] == 11
    assert not two.with_suffix('.unfinished').exists()
