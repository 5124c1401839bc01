"""Distances to a few of many Gaussians, against a loop in float64."""

import pytest
import torch

from mmseg_ddu.core.nearest_gaussians import distances_to_own


def drawn(number, dim, groups=7, chosen=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(groups, dim, dim, generator=generator).triu()
    return (
        torch.randn(number, dim, generator=generator),
        torch.randint(groups, (number, chosen), generator=generator),
        factors / dim**0.5,
        torch.randn(groups, dim, generator=generator),
    )


def loop(vectors, groups, factors, shifts):
    vectors, factors, shifts = (
        each.double() for each in (vectors, factors, shifts)
    )
    return torch.stack(
        [
            torch.stack(
                [
                    (vectors[row] @ factors[group] - shifts[group]).norm()
                    for group in groups[row].tolist()
                ]
            )
            for row in range(len(vectors))
        ]
    )


@pytest.mark.parametrize('dim', [5, 600])  # in one piece, and in chunks
@pytest.mark.parametrize('number', [1, 9, 700])
def test_distances_are_those_of_a_loop(number, dim):
    given = drawn(number, dim)
    torch.testing.assert_close(
        distances_to_own(*given).double(), loop(*given), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize('dim', [5, 600])
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_a_trace_on_few_vectors_holds_for_many(dim):
    """Images of another size than that of the export lose no pixel."""
    traced = torch.jit.trace(distances_to_own, drawn(9, dim))
    given = drawn(3000, dim, seed=1)
    found = traced(*given)
    torch.testing.assert_close(found, distances_to_own(*given))
