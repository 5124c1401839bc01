"""A training that was stopped."""

import copy

import pytest

from benchmarks.proof import resumed_training
from benchmarks.proof.resumed_training import (
    SECONDS,
    iterations_done,
    seconds_per_iteration,
    trained,
)


def test_iterations_that_are_done(tmp_path):
    assert iterations_done(tmp_path / 'nothing') == 0
    assert iterations_done(tmp_path) == 0
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_600.pth'))
    assert iterations_done(tmp_path) == 0  # it was removed
    (tmp_path / 'iter_600.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_600.pth'))
    (tmp_path / 'iter_800.pth').touch()  # stopped while it was written
    assert iterations_done(tmp_path) == 600


def test_a_training_goes_on_where_it_was_stopped(
    plain_cfg, tmp_path, monkeypatch
):
    cfg = copy.deepcopy(plain_cfg)
    cfg.train_cfg.update(max_iters=2, val_interval=10)
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    cfg.randomness = dict(seed=0)
    last = trained(cfg, tmp_path)
    assert last == tmp_path / 'iter_2.pth' and last.exists()
    assert seconds_per_iteration(tmp_path) > 0
    begun = []
    monkeypatch.setattr(
        resumed_training,
        'train',
        lambda *_, resume, **__: begun.append(resume),
    )
    assert trained(cfg, tmp_path) == last and not begun
    (tmp_path / SECONDS).unlink()  # stopped before it was written
    assert trained(cfg, tmp_path) == last and not begun
    assert seconds_per_iteration(tmp_path) is None
    (tmp_path / SECONDS).unlink()
    last.write_bytes(b'half')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_1.pth'))
    trained(cfg, tmp_path)
    assert begun == [True]
    assert seconds_per_iteration(tmp_path) == pytest.approx(0, abs=1)
