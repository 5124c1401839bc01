"""A reference, and where a state may be."""

import pytest

from .manifests import rows, write


@pytest.fixture
def reference(tmp_path):
    return write(tmp_path / 'reference', rows(150, seed=1, prefix='r'))


@pytest.fixture
def state(tmp_path):
    return tmp_path / 'drift.json'
