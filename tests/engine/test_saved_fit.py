"""Fits that are stopped and go on: the same bits, or a clear refusal."""

import os
import shutil
import signal

import pytest
import torch
from mmengine.logging import MMLogger

from benchmarks.kill_fit import campaign, same_bits
from mmseg_ddu.engine import fit_gda
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.fitting_data import held_out_images
from mmseg_ddu.engine.saved_fit import SavedFit
from mmseg_ddu.engine.stopping import Interrupted
from tests.processes import run_ranks

HOUR = 3600

HELD_OUT = held_out_images(12, 0.2, 0)  # of the sample
OTHERS = [index for index in range(12) if index not in HELD_OUT]


@pytest.fixture
def signalled(monkeypatch):
    """From now on, this process gets a signal while it sees an image."""

    def after(images, number=signal.SIGTERM, times=1):
        update = DensityFitter.update
        seen = []

        def struck(fitter, *args):
            seen.append(args)
            if len(seen) == images:
                for _ in range(times):
                    os.kill(os.getpid(), number)
            update(fitter, *args)

        monkeypatch.setattr(DensityFitter, 'update', struck)

    yield after


@pytest.fixture
def stopped(plain_cfg, checkpoint, tmp_path, signalled, monkeypatch):
    """A fit that was stopped after 5 images; its output and its arguments."""
    arguments = plain_cfg, checkpoint, tmp_path / 'out.pth'
    signalled(5)
    with pytest.raises(Interrupted, match='5 of 10.*--resume'):
        fit_gda(*arguments, save_every=HOUR)
    monkeypatch.undo()
    monkeypatch.setenv('DDU_SAMPLE', str(plain_cfg.data_root))
    return arguments


@pytest.fixture
def log(caplog):
    """mmengine's log, which does not reach the root logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def state_file(out, rank=0, world=1):
    return out.with_suffix('.unfinished') / f'rank{rank}of{world}.pt'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('components', [1, 2])
def test_same_bits_after_a_signal(
    number, components, plain_cfg, checkpoint, sample_root, tmp_path, signalled
):
    """An unreadable image before the stop stays in the report."""
    root = tmp_path / 'copy'
    shutil.copytree(sample_root, root)
    (root / 'JPEGImages' / 'train_0002.jpg').write_bytes(b'no image')
    plain_cfg.train_dataloader.dataset.data_root = str(root)
    options = dict(
        gda_head=dict(components=components), calibration_pixels=300
    )
    whole = fit_gda(plain_cfg, checkpoint, tmp_path / 'a.pth', **options)
    out = tmp_path / 'b.pth'
    handler = signal.getsignal(number)
    signalled(7, number)
    with pytest.raises(Interrupted):
        fit_gda(plain_cfg, checkpoint, out, save_every=HOUR, **options)
    assert signal.getsignal(number) == handler
    assert not out.exists()
    state = torch.load(state_file(out), weights_only=True)
    others = [index for index in OTHERS if index != 2]
    assert state['sums']['images'].tolist() == others[:7]
    assert [row['image'] for row in state['sums']['unreadable']] == [2]
    fit_gda(plain_cfg, checkpoint, out, resume=True, **options)
    assert same_bits(whole, out)
    reports = [p.with_suffix('.json').read_text() for p in (whole, out)]
    assert reports[0] == reports[1] and '"image": 2' in reports[0]
    assert not state_file(out).parent.exists()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_second_signal_leaves_at_once(
    number, plain_cfg, checkpoint, tmp_path, signalled
):
    """In the middle of an image, of which nothing may be kept."""
    out = tmp_path / 'out.pth'
    signalled(5, number, times=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit_gda(plain_cfg, checkpoint, out, save_every=HOUR)
    assert not isinstance(caught.value, Interrupted)
    assert not state_file(out).exists()


def test_without_resume_an_old_state_is_reported(stopped, tmp_path, log):
    whole = fit_gda(*stopped[:2], tmp_path / 'whole.pth')
    out = fit_gda(*stopped, save_every=HOUR)
    assert 'state of an unfinished fit' in log.text
    assert same_bits(whole, out)
    assert not state_file(out).parent.exists()


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(seed=1), 'seed is 1 but was 0'),
        (dict(pixels_per_class=9), 'pixels_per_class is 9 but was 512'),
        (dict(temperature=True), 'temperature is True but was False'),
        (dict(gda_head=dict(rank=4)), "heads is .*'rank': 4"),
        (dict(extra_heads=dict(a={})), "heads is .*'a'"),
        (dict(max_images=7), 'images is 7 but was 12'),
        (dict(cfg_options={'model.test_cfg.mode': 'slide'}), 'model is'),
        (
            dict(cfg_options={'train_dataloader.dataset.ann_file': 'o.txt'}),
            'image_files is',
        ),
    ],
)
def test_state_of_another_fit_is_refused(
    options, named, stopped, sample_root, tmp_path
):
    names = sample_root / 'ImageSets' / 'Segmentation' / 'train.txt'
    other = tmp_path / 'o.txt'
    other.write_text('\n'.join(reversed(names.read_text().split())) + '\n')
    if 'cfg_options' in options and 'image_files' in named:
        key = 'train_dataloader.dataset.ann_file'
        options = dict(cfg_options={key: str(other)})
    before = state_file(stopped[2]).read_bytes()
    with pytest.raises(ValueError, match=f'another fit: .*{named}'):
        fit_gda(*stopped, resume=True, **options)
    assert state_file(stopped[2]).read_bytes() == before


def test_state_of_another_checkpoint_is_refused(stopped):
    config, checkpoint, out = stopped
    content = torch.load(checkpoint)
    content['state_dict']['decode_head.conv_seg.bias'] += 1
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='checkpoint is'):
        fit_gda(config, checkpoint, out, resume=True)


def test_damaged_state_and_other_number_of_processes(stopped):
    file = state_file(stopped[2])
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='cannot be read as the state'):
        fit_gda(*stopped, resume=True)
    left_over = file.with_name('.tmp-abcd_123.pt')  # of a fit that was killed
    left_over.write_bytes(content)
    file.rename(state_file(stopped[2], 0, 4))
    with pytest.raises(ValueError, match='of 4 processes.*there are 1'):
        fit_gda(*stopped, resume=True)
    assert not left_over.exists()


def test_no_state_is_no_reason_to_stop(plain_cfg, checkpoint, tmp_path):
    out = fit_gda(plain_cfg, checkpoint, tmp_path / 'a.pth', resume=True)
    assert out.is_file() and not state_file(out).parent.exists()
    with pytest.raises(ValueError, match='save_every above 0'):
        fit_gda(plain_cfg, checkpoint, out, save_every=0)


def test_full_disk_is_a_warning(
    plain_cfg, checkpoint, tmp_path, monkeypatch, signalled, log
):
    save = torch.save

    def full(value, path):
        if 'belongs' in value:
            raise OSError('No space left on device')
        save(value, path)

    monkeypatch.setattr(torch, 'save', full)
    out = fit_gda(plain_cfg, checkpoint, tmp_path / 'a.pth', save_every=1e-9)
    assert out.is_file()
    assert 'cannot be written (No space left on device)' in log.text
    signalled(5)
    with pytest.raises(Interrupted, match='0 of 10 images saved'):
        fit_gda(plain_cfg, checkpoint, out, save_every=HOUR)


def test_library_calls_take_no_signals_and_write_no_state(
    plain_cfg, checkpoint, monkeypatch
):
    def never(*args):
        raise AssertionError

    monkeypatch.setattr(SavedFit, '__init__', never)
    handler = signal.getsignal(signal.SIGTERM)
    update = DensityFitter.update

    def watching(fitter, *args):
        assert signal.getsignal(signal.SIGTERM) == handler
        update(fitter, *args)

    monkeypatch.setattr(DensityFitter, 'update', watching)
    fit_gda(plain_cfg, checkpoint)


@pytest.mark.parametrize('gda_head', [dict(), dict(components=2)])
def test_killed_fits(gda_head, plain_cfg, checkpoint, tmp_path):
    """State after every image: what the kill hits is all that is lost."""
    figures = campaign(
        plain_cfg,
        checkpoint,
        tmp_path,
        kills=4,
        every=1e-9,
        num_workers=0,
        gda_head=gda_head,
    )
    assert figures['kills'] == 4 and figures['fits'] >= 1
    assert figures['most_images_lost'] <= 1


@pytest.mark.parametrize('struck', [(0, 1), (1,)])
def test_several_processes(struck, plain_cfg, checkpoint, tmp_path, signalled):
    """All are signalled, or one, which takes the other along."""
    whole, out = tmp_path / 'whole.pth', tmp_path / 'out.pth'

    def fit(path, hit=(), **options):
        if torch.distributed.get_rank() in hit:
            signalled(2)
        options['gda_head'] = dict(components=2)
        return fit_gda(plain_cfg, checkpoint, path, **options)

    run_ranks(2, fit, whole)
    stopped = run_ranks(2, lambda: fit(out, struck, save_every=HOUR))
    assert all(isinstance(error, Interrupted) for error in stopped)
    saved = [
        torch.load(state_file(out, rank, 2), weights_only=True)
        for rank in range(2)
    ]
    images = [state['sums']['images'].tolist() for state in saved]
    assert images[1] == OTHERS[1::2][:2]
    assert not set(images[0]) & set(images[1])
    for error in run_ranks(3, lambda: fit(out, resume=True)):
        assert isinstance(error, ValueError)
        assert 'of 2 processes' in str(error)
    # Without its state a process begins again, and the others go on.
    state_file(out, 0, 2).unlink()
    assert run_ranks(2, lambda: fit(out, resume=True)) == [out, out]
    assert same_bits(whole, out)
    assert not state_file(out).parent.exists()


def test_several_processes_die_when_all_but_the_end_is_done(
    plain_cfg, checkpoint, tmp_path, monkeypatch
):
    """What each has kept is its own part, not that of all."""
    whole, out = tmp_path / 'whole.pth', tmp_path / 'out.pth'

    def dies(fitter):
        raise OSError('The end')

    def fit(path, **options):
        return fit_gda(plain_cfg, checkpoint, path, **options)

    run_ranks(2, fit, whole)
    with monkeypatch.context() as patched:
        patched.setattr(DensityFitter, 'join', dies)
        died = run_ranks(2, lambda: fit(out, save_every=1e-9))
    assert all(isinstance(error, OSError) for error in died)
    assert run_ranks(2, lambda: fit(out, resume=True)) == [out, out]
    assert same_bits(whole, out)
