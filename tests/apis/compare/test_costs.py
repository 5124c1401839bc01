"""Memory of a call whose need is known."""

import pytest
import torch

from mmseg_ddu.apis.compare.costs import MIB, memory_growth

CPU = torch.device('cpu')


def test_growth_is_what_is_allocated_for_a_while():
    growth = memory_growth(lambda: torch.ones(16 << 20).sum(), CPU)
    if growth is None:
        pytest.skip('no /proc on this system')
    assert 60 < growth / MIB < 72
    assert memory_growth(lambda: None, CPU) < 4 * MIB
