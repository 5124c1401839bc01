"""The memory of one set of Gaussians."""

import pytest

from benchmarks.location.density import gaussian_megabytes


def test_memory_arithmetic():
    """21 classes, 256 features: 5.5 MB once, 92 GB at each of 129 x 129."""
    one = gaussian_megabytes(21, 256)
    assert one * 1e6 == pytest.approx(4 * 21 * 256 * 257)
    assert one * 129**2 == pytest.approx(92e3, rel=0.01)
    assert one * 33**2 == pytest.approx(6.0e3, rel=0.01)


@pytest.mark.parametrize(
    ('kind', 'numbers'), [('diag', 3 * 5 + 3 * 5), ('tied', 3 * 5 + 5 * 5)]
)
def test_other_covariances_take_less(kind, numbers):
    assert gaussian_megabytes(3, 5, kind) == pytest.approx(4e-6 * numbers)
