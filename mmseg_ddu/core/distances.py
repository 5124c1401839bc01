"""Does a feature keep the distances between images?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Feature = Callable[[Tensor], Tensor]


def radial_bands(size: tuple[int, int], bands: int) -> Tensor:
    """Band of each frequency of ``fft2``, (H, W), 0 to ``bands`` - 1.

    By the distance from zero, in equal steps up to the highest that rows and
    columns have (half a cycle a pixel); what is higher, in the corners,
    belongs to the last.
    """
    rows, columns = (torch.fft.fftfreq(n) for n in size)
    radius = (rows[:, None] ** 2 + columns**2).sqrt()
    return (radius * 2 * bands).long().clamp(max=bands - 1)


def band_noise(like: Tensor, band: int, bands: int, seed: int) -> Tensor:
    """White noise with the frequencies of one band alone, of norm 1."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(like.shape, generator=generator).to(like)
    keep = radial_bands(tuple(like.shape[-2:]), bands) == band
    noise = torch.fft.ifft2(torch.fft.fft2(noise) * keep.to(like.device)).real
    return noise / noise.norm()


def band_shares(direction: Tensor, bands: int) -> Tensor:
    """How much of the energy of (…, H, W) is in each band, (bands,)."""
    energy = torch.fft.fft2(direction).abs().square().flatten(0, -3).sum(0)
    band = radial_bands(tuple(direction.shape[-2:]), bands)
    shares = torch.zeros(bands).index_add(
        0, band.flatten(), energy.flatten().cpu().float()
    )
    return shares / shares.sum()


@torch.no_grad()
def distance_ratio(feature: Feature, one: Tensor, other: Tensor) -> float:
    """``‖f(x) - f(x')‖ / ‖x - x'‖`` of two different images."""
    moved = (feature(one) - feature(other)).norm()
    return float(moved / (one - other).norm())


def flattest_direction(
    feature: Feature, image: Tensor, steps: int = 2, solving: int = 15
) -> tuple[Tensor, float]:
    """A direction in which the feature hardly changes, and how much it does.

    A search for counter-examples to distance preservation: inverse power
    steps on ``JᵀJ``, J the Jacobian at the image, each solved by conjugate
    gradients. What it finds is an upper bound of the smallest ratio.

    Args:
        feature (Callable): Image to feature, differentiable.
        image (Tensor): (1, C, H, W).
        steps (int): Inverse power steps.
        solving (int): Conjugate gradient steps of each.

    Returns:
        tuple: The direction, of norm 1, and ``‖J d‖``.
    """
    out, pull = torch.func.vjp(feature, image)

    def push(direction: Tensor) -> Tensor:
        return torch.func.jvp(feature, (image,), (direction,))[1]

    def gram(direction: Tensor) -> Tensor:
        return pull(push(direction))[0]

    direction = band_noise(image, 0, 1, seed=0)
    ridge = 1e-7 * float((direction * gram(direction)).sum().detach())
    for _ in range(steps):
        direction = _solve(lambda d: gram(d) + ridge * d, direction, solving)
        direction = direction / direction.norm()
    return direction.detach(), float(push(direction).detach().norm())


def _solve(
    matrix: Callable[[Tensor], Tensor], target: Tensor, steps: int
) -> Tensor:
    """Conjugate gradients for ``matrix(x) = target``."""
    found = torch.zeros_like(target)
    residual = target.clone()
    search = residual
    power = residual.square().sum()
    for _ in range(steps):
        moved = matrix(search)
        length = power / (search * moved).sum().clamp(min=1e-30)
        found = found + length * search
        residual = residual - length * moved
        new = residual.square().sum()
        if new < 1e-14 * target.square().sum():
            break
        search = residual + new / power * search
        power = new
    return found
