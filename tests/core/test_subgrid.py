"""Strided resizing against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core.subgrid import resize_subgrid


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(20, 31), (57, 44), (9, 13), (5, 40)])
def test_against_interpolate(size, align_corners):
    maps = torch.randn(2, 3, 20, 31, dtype=torch.float64)
    full = F.interpolate(
        maps, size, mode='bilinear', align_corners=align_corners
    )
    for stride in (1, 3, 4):
        got = resize_subgrid(maps, size, stride, align_corners)
        torch.testing.assert_close(got, full[..., ::stride, ::stride])
    single = resize_subgrid(maps.float(), size, 4, align_corners)
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), full[..., ::4, ::4], rtol=1e-5, atol=1e-5
    )
