"""Squared Mahalanobis distances to a few of many Gaussians.

Everything here is a fixed number of tensor operations, whatever the number
of vectors, and none looks at the data: it traces to one graph, and a GPU is
never waited for. Factors P are upper triangular with ``P P^T = Σ^-1``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

HALVED = 256  # dimensions from which on halves save time


def distances(vectors: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """``|P^T x - s|^2``; in two halves where that saves time.

    P is triangular, so the first half needs half of the features.

    Args:
        vectors (Tensor): (..., n, K).
        factor (Tensor): (..., K, K).
        shift (Tensor): (..., 1, K), ``P^T μ``.

    Returns:
        Tensor: (..., n).
    """
    size = factor.shape[-1]
    half = size // 2 if size >= HALVED else 0
    parts = []
    for first, last in ((0, half), (half, size))[half == 0 :]:
        rows = vectors[..., :last] @ factor[..., :last, first:last]
        rows = rows - shift[..., first:last]
        parts.append(torch.linalg.vector_norm(rows, dim=-1).square())
    return sum(parts[1:], parts[0])


def distances_to_own(
    vectors: Tensor, groups: Tensor, factors: Tensor, shifts: Tensor
) -> Tensor:
    """Squared distance of each vector to some Gaussians of its own.

    Vectors are sorted by Gaussian into blocks that each have one factor, so
    all of it is a batched product. Blocks are filled up: there are at most
    ``5 G`` of them, and a quarter of the rows are wasted at most.

    Args:
        vectors (Tensor): (N, K).
        groups (Tensor): (N, m) integers in ``[0, G)``.
        factors (Tensor): (G, K, K).
        shifts (Tensor): (G, K).

    Returns:
        Tensor: (N, m).
    """
    number, dim = factors.shape[:2]
    picks = groups.shape[1]
    flat = groups.flatten()
    pairs = flat.shape[0]
    block = pairs // (4 * number) + 64
    blocks = pairs // block + number  # enough, however they are shared out

    order = flat.argsort()
    ordered = flat.index_select(0, order)
    count = torch.zeros_like(shifts[:, 0], dtype=torch.long)
    count = count.scatter_add(0, flat, torch.ones_like(flat))
    ends = ((count + block - 1) // block).cumsum(0)
    # From a place in the order to a row of the blocks.
    behind = ends * block - count.cumsum(0)
    filled = (count + block - 1) // block * block - count
    slots = torch.arange(pairs, device=flat.device)
    slots = slots + (behind - filled).index_select(0, ordered)
    rows = torch.zeros(blocks * block, dtype=torch.long, device=flat.device)
    rows = rows.scatter(0, slots, order // picks)
    owner = torch.arange(blocks, device=flat.device)[:, None] >= ends
    owner = owner.sum(1).clamp(max=number - 1)

    parts = []
    chunks = max(1, dim // 256)  # to need less memory
    step = (blocks + chunks - 1) // chunks
    for chunk in range(chunks):
        own = owner[chunk * step : (chunk + 1) * step]
        part = rows[chunk * step * block : (chunk + 1) * step * block]
        parts.append(
            distances(
                vectors.index_select(0, part).view(-1, block, dim),
                factors.index_select(0, own),
                shifts.index_select(0, own)[:, None],
            ).flatten()
        )
    found = torch.cat(parts).index_select(0, slots)
    return torch.zeros_like(found).scatter(0, order, found).view_as(groups)


class Sketch(NamedTuple):
    """What is cheap to know about the log density under every Gaussian.

    With y the vector whitened by a *reference*, the widest Gaussian, the
    precision of another one is replaced by ``r I`` and a few directions of
    its own. With G Gaussians, K dimensions and R directions it costs
    ``N G K (R + 1)`` multiply-adds.

    Attributes:
        directions (Tensor): (K, G R), in the space of the vectors.
        shifts (Tensor): (G R,), where the mean lies along them.
        signs (Tensor): (G, R), 1 or -1.
        linear (Tensor): (K, G).
        rest (Tensor): (G,), r.
        constant (Tensor): (G,); -inf for the reference, and where nothing
            was seen.
        reference (Tensor): (1,), its number.
    """

    directions: Tensor
    shifts: Tensor
    signs: Tensor
    linear: Tensor
    rest: Tensor
    constant: Tensor
    reference: Tensor

    def estimate(self, vectors: Tensor, reference_distance: Tensor) -> Tensor:
        """Log densities, (N, K) and (N,) -> (N, G), to choose by."""
        along = vectors @ self.directions - self.shifts
        along = along.unflatten(1, self.signs.shape).square()
        curved = (along * self.signs).sum(2)
        wide = self.rest * reference_distance[:, None]
        return self.constant + vectors @ self.linear - 0.5 * (curved + wide)


def sketch_gaussians(
    means: Tensor,
    factors: Tensor,
    log_norms: Tensor,
    second_moment: Tensor,
    directions: int,
) -> Sketch:
    """The sketch of G Gaussians, in float64.

    For each, the directions are kept in which its precision differs most
    from a multiple of the reference's, as weighted by how far the data reach
    there.

    Args:
        means (Tensor): (G, K), about the mean of the data.
        factors (Tensor): (G, K, K).
        log_norms (Tensor): (G,) log density at the mean; -inf for one that
            takes no part.
        second_moment (Tensor): (K, K), covariance of all data.
        directions (int): R.
    """
    number, dim = means.shape
    present = log_norms.isfinite()
    reference = int(log_norms.masked_fill(~present, torch.inf).argmin())
    whiten = factors[reference]  # y = whiten^T (x - mean of the reference)
    base = means[reference]
    eye = torch.eye(dim).to(whiten)
    unwhiten = torch.linalg.solve_triangular(whiten, eye, upper=True)
    spread = whiten.mT @ second_moment @ whiten
    kept = means.new_zeros(number, dim, directions)
    shifts, signs = means.new_zeros(2, number, directions)
    linear, rest = means.new_zeros(number, dim), means.new_ones(number)
    constant = torch.full_like(log_norms, -torch.inf)
    for index in present.nonzero().flatten().tolist():
        if index == reference:
            continue
        root = factors[index].mT @ unwhiten.mT
        # float32 is enough to choose by, in a third of the time.
        values, vectors = torch.linalg.eigh((root.mT @ root).float())
        values, vectors = values.to(means), vectors.to(means)
        delta = whiten.mT @ means[index]  # data are about 0
        weights = ((spread @ vectors) * vectors).sum(0)
        weights = weights + (delta @ vectors).square()
        mean = (values * weights).sum() / weights.sum()
        order = ((values - mean).abs() * weights).argsort(descending=True)
        chosen, others = order[:directions], order[directions:]
        rest[index] = (values * weights)[others].sum() / weights[others].sum()
        excess = values[chosen] - rest[index]
        kept[index] = whiten @ vectors[:, chosen] * excess.abs().sqrt()
        shifts[index] = means[index] @ kept[index]
        signs[index] = excess.sign()
        moved = whiten.mT @ (means[index] - base)
        linear[index] = rest[index] * (whiten @ moved)
        constant[index] = (
            log_norms[index]
            - 0.5 * rest[index] * moved.square().sum()
            - base @ linear[index]
        )
    return Sketch(
        kept.movedim(0, 1).flatten(1),
        shifts.flatten(),
        signs,
        linear.mT.contiguous(),
        rest,
        constant,
        torch.tensor([reference]),
    )
