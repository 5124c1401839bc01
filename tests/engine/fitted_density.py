"""The density in a fitted file."""

from pathlib import Path

from mmseg_ddu.engine.checkpoint import read_checkpoint


def density(path: Path) -> dict:
    state = read_checkpoint(path)['state_dict']
    prefix = 'gda_head.density.'
    return {
        k.removeprefix(prefix): v
        for k, v in state.items()
        if k.startswith(prefix)
    }
