"""A fit that is stopped because another process of it was."""

import os
import signal

import pytest

from mmseg_ddu.engine import fit_gda
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.saved_fit import SavedFit
from mmseg_ddu.engine.stopping import Interrupted


def test_a_signal_while_the_state_is_written_for_another_process(
    plain_cfg, checkpoint, tmp_path, monkeypatch
):
    """That was stopped; its launcher stops this one soon after."""
    out = tmp_path / 'out.pth'
    update, write = DensityFitter.update, SavedFit.write
    seen = []

    def told(fitter, *args):
        if len(seen) == 4:
            raise Interrupted('Process 1 was stopped.')
        seen.append(args)
        update(fitter, *args)

    def struck(saved, sums):
        os.kill(os.getpid(), signal.SIGTERM)
        write(saved, sums)

    monkeypatch.setattr(DensityFitter, 'update', told)
    monkeypatch.setattr(SavedFit, 'write', struck)
    with pytest.raises(Interrupted, match='4 of 10 images saved'):
        fit_gda(plain_cfg, checkpoint, out, save_every=3600)
    assert (tmp_path / 'out.unfinished' / 'rank0of1.pt').exists()
