"""Region means against a loop."""

import torch

from mmseg_ddu.core.regions import region_means


def test_means_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(200, generator=generator) + 1e4
    regions = torch.randint(0, 7, (200,), generator=generator) * 3
    expected = torch.stack(
        [values.double()[regions == r].mean() for r in regions]
    )
    got = region_means(values, regions)
    assert got.dtype == values.dtype
    torch.testing.assert_close(got.double(), expected, rtol=1e-7, atol=0)


def test_one_pixel_regions_keep_their_value():
    values = torch.tensor([3.0, -1.0, 2.0])
    assert region_means(values, torch.arange(3)).tolist() == [3, -1, 2]


def test_no_pixels():
    assert region_means(torch.zeros(0), torch.zeros(0).long()).shape == (0,)
