"""Mahalanobis distances to a few of many Gaussians.

Everything here is a fixed number of tensor operations, whatever the number
of vectors, and none looks at the data: it traces to one graph, and a GPU is
never waited for. Factors P are upper triangular with ``P P^T = Σ^-1``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

HALVED = 256  # dimensions from which on halves save time


def distances(vectors: Tensor, factors: Tensor, shifts: Tensor) -> Tensor:
    """``|P^T x - s|``; in two halves where that saves time.

    P is triangular, so the first half needs half of the features.

    Args:
        vectors (Tensor): (G, n, K), or (n, K) for all G alike.
        factors (Tensor): (G, K, K).
        shifts (Tensor): (G, K), ``P^T μ``.

    Returns:
        Tensor: (G, n).
    """
    number, size = shifts.shape
    vectors = vectors.expand(number, *vectors.shape[-2:])
    half = size // 2 if size >= HALVED else 0
    parts = []
    for first, last in ((0, half), (half, size))[half == 0 :]:
        rows = torch.baddbmm(
            shifts[:, None, first:last],
            vectors[..., :last],
            factors[:, :last, first:last],
            beta=-1,
        )
        parts.append(torch.linalg.vector_norm(rows, dim=2))
    if len(parts) == 1:
        return parts[0]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0)


def distances_to_own(
    vectors: Tensor, groups: Tensor, factors: Tensor, shifts: Tensor
) -> Tensor:
    """Distance of each vector to some Gaussians of its own.

    Pairs of a vector and a Gaussian are sorted by Gaussian into blocks that
    each have one factor, so all of it is a batched product. Blocks are filled
    up: there are at most ``5 G`` of them, and a quarter of the rows are
    wasted at most.

    Args:
        vectors (Tensor): (N, K).
        groups (Tensor): (N, m) integers in ``[0, G)``.
        factors (Tensor): (G, K, K).
        shifts (Tensor): (G, K).

    Returns:
        Tensor: (N, m).
    """
    number, dim = shifts.shape
    flat = groups.flatten()
    pairs = flat.shape[0]
    block = pairs // (4 * number) + 64
    blocks = pairs // block + number  # enough, however they are shared out

    ordered, order = flat.sort()
    count = torch.zeros_like(shifts[:, 0], dtype=torch.long)
    count = count.scatter_add(0, flat, torch.ones_like(flat))
    filling = -count % block  # rows behind those of each Gaussian
    before = filling.cumsum(0) - filling
    # From a place in the order to a row of the blocks.
    slots = torch.arange(pairs, device=flat.device)
    slots = slots + before.index_select(0, ordered)
    empty = torch.zeros(blocks * block, dtype=torch.long, device=flat.device)
    rows = empty.scatter(0, slots, order // groups.shape[1])
    owner = empty.scatter(0, slots, ordered)[::block]

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
                shifts.index_select(0, own),
            ).flatten()
        )
    found = torch.cat(parts) if chunks > 1 else parts[0]
    found = found.index_select(0, slots)
    return found.scatter(0, order, found).view_as(groups)


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
        along = torch.addmm(self.shifts, vectors, self.directions, beta=-1)
        along = along.square().unflatten(1, self.signs.shape)
        curved = (along * self.signs).sum(2)
        flat = torch.addmm(self.constant, vectors, self.linear)
        wide = reference_distance.square()[:, None]
        flat = torch.addcmul(flat, self.rest, wide, value=-0.5)
        return torch.sub(flat, curved, alpha=0.5)


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
