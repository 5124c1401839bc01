"""A fit may not change while an export is stopped; its file may."""

import pytest
import torch

from mmseg_ddu.apis import export
from mmseg_ddu.engine.checkpoint import read_checkpoint, save_checkpoint
from mmseg_ddu.fileio import sha256

from .checks import contents, stopped


def test_fits_and_thresholds_are_compared_not_files(tiny, photos, tmp_path):
    config, checkpoint = tiny
    out, other = tmp_path / 'maps', tmp_path / 'other.pth'
    stopped(tiny, photos, out)
    before = contents(out)
    found = read_checkpoint(checkpoint)
    weights = found['state_dict']
    changed = {key: value + 1 for key, value in weights.items()}
    changes = [
        (dict(state_dict=changed), 'weights_sha256'),
        (dict(meta=dict(abstention=dict(error=0.1))), 'abstention'),
    ]
    for change, what in changes:
        content = {key: {**found[key], **change.get(key, {})} for key in found}
        save_checkpoint(other, **content)
        with pytest.raises(ValueError, match=f'other settings: {what}'):
            export(config, other, photos, out, resume=True)
    assert contents(out) == before
    torch.save(dict(found, optimizer={}), other)
    assert sha256(other) != sha256(checkpoint)
    manifest = export(config, other, photos, out, resume=True)
    assert manifest['complete']
    assert manifest['checkpoint_sha256'] == sha256(other)
