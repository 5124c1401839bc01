"""Does a feature keep the distances between images?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Feature = Callable[[Tensor], Tensor]
UNSEEN = 1e-3  # of what white noise is stretched by
ROUNDING = 1e-6  # of a product in float32


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


class Flattest(NamedTuple):
    """A direction in which a feature hardly changes.

    Attributes:
        direction (Tensor): Like the image, of norm 1.
        ratio (float): ``‖J d‖``, J the Jacobian at the image.
        converged (bool): Either this is below a thousandth of the ratio of
            white noise, or J has a singular value within a tenth of it.
        products (int): With J or its transpose, that the search took.
    """

    direction: Tensor
    ratio: float
    converged: bool
    products: int


def flattest_direction(
    feature: Feature, image: Tensor, products: int = 1000
) -> Flattest:
    """A direction that the feature hardly sees: a search, not a bound.

    Bidiagonalization of the Jacobian (Golub and Kahan, 1965) from white
    noise, without restarts and with both bases kept orthogonal. Of all
    directions that so many products can reach from there it finds the one
    with the smallest ratio; a null space is one of their limits. What it
    finds is an upper bound of the smallest ratio.

    Args:
        feature (Callable): Image to feature, differentiable.
        image (Tensor): (1, C, H, W). Half of ``products`` copies of it and
            of its feature are in memory.
        products (int): Most products with the Jacobian or its transpose.
    """
    push, pull = _jacobian(feature, image)
    steps = max(1, min(products // 2, image.numel()))
    direction = band_noise(image, 0, 1, seed=0)
    right = image.new_zeros(steps, image.numel())
    left = image.new_zeros(0)
    matrix = torch.zeros(steps, steps, dtype=torch.float64)
    for step in range(steps):
        right[step] = direction.flatten()
        moved = push(direction)
        if not step:
            left = moved.new_zeros(steps, moved.numel())
        moved, length = _orthogonal(moved, left[:step])
        left[step] = moved.flatten()
        matrix[step, step] = length
        direction, rest = _orthogonal(pull(moved), right[: step + 1])
        least = ROUNDING * float(matrix.diagonal().max())
        last = step + 1 == steps or min(length, rest) <= least
        if last or step % 10 == 9:
            part = matrix[: step + 1, : step + 1]
            ours, values, theirs = torch.linalg.svd(part)
            found, error = float(values[-1]), rest * abs(float(ours[-1, -1]))
            done = found <= UNSEEN * float(matrix[0, 0]) or error < found / 10
            if last or done:
                break
        matrix[step, step + 1] = rest
    best = theirs[-1].to(right) @ right[: step + 1]
    best = (best / best.norm()).view_as(image)
    ratio = float(push(best).norm())
    return Flattest(best, ratio, done, 2 * step + 3)


def hidden_change(feature: Feature, image: Tensor, change: Tensor) -> Tensor:
    """A change of the same size that the feature sees less.

    A Gauss-Newton step towards ``f(x + change) = f(x)``: the smallest
    correction that does it in the linearisation at ``x + change``, by 20
    conjugate gradient steps (41 products with the Jacobian); whole, half or
    not at all, brought back to the size, by the ratio that is left.

    Args:
        feature (Callable): Image to feature, differentiable.
        image, change (Tensor): (1, C, H, W).
    """
    push, pull = _jacobian(feature, image + change)
    with torch.no_grad():
        gap = feature(image) - feature(image + change)
    better = _solve(push, pull, gap, 20)
    bent = [change + share * better for share in (0, 0.5, 1)]
    bent = [
        change.norm() / each.norm().clamp_min(1e-30) * each for each in bent
    ]
    return min(
        bent, key=lambda tried: distance_ratio(feature, image, image + tried)
    )


def _jacobian(feature: Feature, image: Tensor) -> tuple[Feature, Feature]:
    """Products with the Jacobian at an image and with its transpose."""
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        found = feature(image)
        weights = torch.zeros_like(found, requires_grad=True)
        # Linear in the weights, so its own pull is a push, at the price of
        # no pass through the network.
        (pulled,) = torch.autograd.grad(
            found, image, weights, create_graph=True
        )

    def push(direction: Tensor) -> Tensor:
        return torch.autograd.grad(
            pulled, weights, direction, retain_graph=True
        )[0]

    def pull(weights: Tensor) -> Tensor:
        return torch.autograd.grad(found, image, weights, retain_graph=True)[0]

    return push, pull


def _orthogonal(vector: Tensor, basis: Tensor) -> tuple[Tensor, float]:
    """Without what is along the rows, of norm 1; and the norm before."""
    flat = vector.flatten()
    for _ in range(2):
        flat = flat - (basis @ flat) @ basis
    norm = float(flat.norm())
    return (flat / max(norm, 1e-30)).view_as(vector), norm


def _solve(push: Feature, pull: Feature, gap: Tensor, steps: int) -> Tensor:
    """The smallest x with ``push(x) = gap``, nearly: conjugate gradients."""
    residual = pull(gap)
    found, search = torch.zeros_like(residual), residual
    power = first = residual.square().sum()
    for _ in range(steps):
        if power <= 1e-14 * first:
            break
        moved = pull(push(search))
        length = power / (search * moved).sum().clamp(min=1e-30)
        found = found + length * search
        residual = residual - length * moved
        before, power = power, residual.square().sum()
        search = residual + power / before * search
    return found
