"""Against the singular values of the layer written out as a matrix."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core.operator_norm import GRID, OperatorNorm


def written_out(layer, side):
    """The matrix of a linear map of images, column by column."""
    channels = 2
    unit = torch.eye(channels * side**2, dtype=torch.float64)
    images = unit.reshape(-1, channels, side, side)
    return layer(images).flatten(1).T


def drawn(groups=1, kernel=3):
    rng = torch.Generator().manual_seed(kernel)
    return torch.randn(4, 2 // groups, kernel, kernel, generator=rng)


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize('kernel', [1, 3, 5])
def test_it_is_the_largest_singular_value(groups, kernel):
    weight = drawn(groups, kernel)

    def layer(images):
        wide = F.pad(images, [kernel // 2] * 4, mode='circular')
        return F.conv2d(wide, weight.double(), groups=groups)

    wanted = torch.linalg.matrix_norm(written_out(layer, GRID), 2)
    norm = OperatorNorm(weight, groups).estimate(weight, 300)
    assert float(norm) == pytest.approx(float(wanted), rel=1e-3)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('dilation', [1, 2, 6])
def test_it_bounds_the_layer_as_it_is_used(stride, dilation):
    weight = drawn()

    def layer(images):
        return F.conv2d(
            images,
            weight.double(),
            stride=stride,
            padding=dilation,
            dilation=dilation,
        )

    used = torch.linalg.matrix_norm(written_out(layer, 24), 2)
    norm = OperatorNorm(weight).estimate(weight, 300)
    assert float(used) <= 1.01 * float(norm)


def test_the_matrix_of_the_kernel_is_no_bound():
    weight = torch.ones(1, 1, 3, 3)  # of rank one, and stretches by 9
    norm = OperatorNorm(weight).estimate(weight, 50)
    assert float(norm) == pytest.approx(9, rel=1e-4)
    assert float(torch.linalg.matrix_norm(weight.flatten(1), 2)) < 4
