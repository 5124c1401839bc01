"""Mahalanobis distances to a few of many Gaussians.

Everything here is a fixed number of tensor operations, whatever the number
of vectors, and none looks at the data: it traces to one graph, and a GPU is
never waited for.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .mahalanobis import distances


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
    flat = groups.flatten()
    ordered, order = flat.sort()
    slots, rows, owner, block = _blocks(
        ordered, order // groups.shape[1], shifts
    )
    dim = shifts.shape[1]
    chunks = max(1, dim // 256)  # to need less memory
    step = (owner.shape[0] + chunks - 1) // chunks
    parts = []
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


def _blocks(
    ordered: Tensor, vector: Tensor, shifts: Tensor
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Row of each pair, vector in each row, Gaussian and rows of a block."""
    number, pairs = shifts.shape[0], ordered.shape[0]
    block = pairs // (4 * number) + 64
    blocks = pairs // block + number  # enough, however they are shared out
    count = torch.zeros_like(shifts[:, 0], dtype=torch.long)
    count = count.scatter_add(0, ordered, torch.ones_like(ordered))
    filling = -count % block  # rows behind those of each Gaussian
    before = filling.cumsum(0) - filling
    slots = torch.arange(pairs, device=ordered.device)
    slots = slots + before.index_select(0, ordered)
    empty = torch.zeros(
        blocks * block, dtype=torch.long, device=ordered.device
    )
    rows = empty.scatter(0, slots, vector)
    owner = empty.scatter(0, slots, ordered)[::block]
    return slots, rows, owner, block


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

    @staticmethod
    def shapes(groups: int, dim: int, directions: int) -> dict[str, tuple]:
        """Those of its tensors, by name."""
        return dict(
            directions=(dim, groups * directions),
            shifts=(groups * directions,),
            signs=(groups, directions),
            linear=(dim, groups),
            rest=(groups,),
            constant=(groups,),
            reference=(1,),
        )

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

    Args:
        means (Tensor): (G, K), about the mean of the data.
        factors (Tensor): (G, K, K).
        log_norms (Tensor): (G,) log density at the mean; -inf if not seen.
        second_moment (Tensor): (K, K), covariance of all data.
        directions (int): R.
    """
    number, dim = means.shape
    present = log_norms.isfinite()
    reference = int(log_norms.where(present, torch.inf).argmin())
    whiten = factors[reference]  # y = whiten^T (x - mean of the reference)
    base = means[reference]
    unwhiten = torch.linalg.solve_triangular(
        whiten, torch.eye(dim).to(whiten), upper=True
    )
    spread = whiten.mT @ second_moment @ whiten
    kept = means.new_zeros(number, dim, directions)
    shifts, signs = means.new_zeros(2, number, directions)
    linear, rest = means.new_zeros(number, dim), means.new_ones(number)
    constant = torch.full_like(log_norms, -torch.inf)
    present[reference] = False
    for index in present.nonzero().flatten().tolist():
        root = factors[index].mT @ unwhiten.mT
        kept[index], signs[index], rest[index] = _curvature(
            root, means[index], whiten, spread, directions
        )
        shifts[index] = means[index] @ kept[index]
        moved = whiten.mT @ (means[index] - base)
        linear[index] = rest[index] * (whiten @ moved)
        drop = 0.5 * rest[index] * moved.square().sum()
        constant[index] = log_norms[index] - drop - base @ linear[index]
    return Sketch(
        kept.movedim(0, 1).flatten(1),
        shifts.flatten(),
        signs,
        linear.mT.contiguous(),
        rest,
        constant,
        torch.tensor([reference]),
    )


def nearest_gaussians(
    vectors: Tensor,
    sketch: Sketch,
    factors: Tensor,
    shifts: Tensor,
    number: int,
) -> tuple[Tensor, Tensor]:
    """The reference and the likeliest others, and the distances to them.

    Vectors (N, K), factors (G, K, K) and shifts (G, K) give two (N, 1 +
    number), integers in ``[0, G)`` and exact distances.
    """
    widest = distances(
        vectors,
        factors.index_select(0, sketch.reference),
        shifts.index_select(0, sketch.reference),
    )[0]
    groups = sketch.estimate(vectors, widest).topk(number, 1).indices
    roots = distances_to_own(vectors, groups, factors, shifts)
    first = sketch.reference.expand(vectors.shape[0], 1)
    return (
        torch.cat([first, groups], 1),
        torch.cat([widest[:, None], roots], 1),
    )


def _curvature(
    root: Tensor,
    mean: Tensor,
    whiten: Tensor,
    spread: Tensor,
    directions: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """A precision as r I and some directions, where the reference is I.

    Its root and the covariance of all data, ``spread``, are whitened. Returns
    (K, R) directions, as long as the root of what they differ from r, (R,)
    signs of that, and r.
    """
    # float32 is enough to choose by, in a third of the time.
    values, vectors = torch.linalg.eigh((root.mT @ root).float())
    values, vectors = values.to(mean), vectors.to(mean)
    weights = ((spread @ vectors) * vectors).sum(0)
    weights = weights + ((whiten.mT @ mean) @ vectors).square()
    middle = (values * weights).sum() / weights.sum()
    # Where it differs most from a multiple of I, as far as the data reach.
    order = ((values - middle).abs() * weights).argsort(descending=True)
    chosen, others = order[:directions], order[directions:]
    rest = (values * weights)[others].sum() / weights[others].sum()
    excess = values[chosen] - rest
    kept = whiten @ vectors[:, chosen] * excess.abs().sqrt()
    return kept, excess.sign(), rest
