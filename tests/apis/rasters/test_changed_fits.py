"""A fit may not change while an export is stopped; its file may."""

import pytest
import torch

from mmseg_ddu.apis import export_raster
from mmseg_ddu.engine.checkpoint import read_checkpoint, save_checkpoint

from .drawn_rasters import write_raster
from .test_place_and_maps import SMALL
from .test_stopping_rasters import PIXELS, WINDOWS, broken


@pytest.fixture
def run_with(short, tmp_path):
    """Go on, with a file of the same fit and other thresholds."""
    scene = write_raster(tmp_path / 'scene.tif', PIXELS)

    def run_with(thresholds=None, file='other.pth', **changes):
        content = read_checkpoint(short[2])
        content['state_dict'].update(changes)
        if thresholds is not None:
            limits = {'abstention.thresholds': torch.tensor(thresholds)}
            content['state_dict'].update(limits)
        save_checkpoint(tmp_path / file, **content)
        args = short[0], tmp_path / file, [scene], tmp_path / 'out'
        return export_raster(*args, **SMALL, resume=True)

    return run_with


def test_thresholds_that_were_found_in_between(run_with, before_window):
    """Not the file, but the fit and the thresholds must be the same."""
    before_window(4, broken)
    with pytest.raises(RuntimeError):
        run_with([2.0] * 6, 'first.pth')
    seen = before_window(0, broken)
    for thresholds, difference in [
        (None, r'abstention_threshold \(was 2\.0, now null\)'),
        ([3.0] * 6, r'abstention_threshold \(was 2\.0, now 3\.0\)'),
        ([2.0] * 5 + [1.0], r'.*_threshold of class 5 \(was null, now 1\.0\)'),
    ]:
        message = f'made with other settings: {difference}'
        with pytest.raises(ValueError, match=f'{message}.* Resume'):
            run_with(thresholds)
    with pytest.raises(ValueError, match='settings: weights_sha256') as other:
        run_with([2.0] * 6, **{'gda_head.density.means': torch.zeros(6, 8)})
    assert 'abstention' not in str(other.value)
    run_with([2.0] * 6)
    assert len(seen) == WINDOWS - 3
    with pytest.raises(ValueError, match=r'threshold \(was 2\.0, now null\)'):
        run_with()
