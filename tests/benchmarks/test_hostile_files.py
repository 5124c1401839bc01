"""Benchmarks do not run code that comes in a checkpoint either."""

import pytest

from benchmarks.cost.run import benchmark
from benchmarks.location.study import location_study
from tests import hostile

ENTRIES = dict(
    cost=lambda cfg, evil, out: benchmark(cfg, evil, size=64),
    location=lambda cfg, evil, out: location_study(cfg, evil, out / 'study'),
)


@pytest.mark.parametrize('kind', ['state_dict', 'tar'])
@pytest.mark.parametrize('entry', ENTRIES)
def test_refused(entry, kind, plain_cfg, tmp_path):
    marker, folder = tmp_path / 'marker', tmp_path / 'files'
    folder.mkdir()
    evil = hostile.write_all(folder, marker)[kind]
    with pytest.raises(ValueError, match='nothing of it was run'):
        ENTRIES[entry](plain_cfg, evil, tmp_path)
    assert not marker.exists()
