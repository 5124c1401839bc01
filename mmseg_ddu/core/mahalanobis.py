"""Squared Mahalanobis distances and densities of blocks of vectors.

Vectors are columns here, (K, n): feature maps are stored with their channels
first, so a block of pixels is a slice of the map and no copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bounds import WORST

ROWS = 128  # of a triangular factor in one product
TAIL = 30.0  # nats behind the best class at which a class is dropped


def row_distances(
    vectors: Tensor, factor: Tensor, shift: Tensor, start: int, stop: int
) -> Tensor:
    """What rows start to stop of ``P^T x - s`` add to ``|P^T x - s|**2``.

    P is upper triangular, so these rows need the first ``stop`` features
    alone: ``n * stop * (stop - start)`` multiply-adds.

    Args:
        vectors (Tensor): (K, n) or more columns of the same.
        factor (Tensor): (K, K), P.
        shift (Tensor): (K,), ``P^T μ``.
        start (int): First row.
        stop (int): Row behind the last.

    Returns:
        Tensor: (n,).
    """
    rows = factor[:stop, start:stop].transpose(-1, -2) @ vectors[:stop]
    return saturated(rows.sub_(shift[start:stop, None]).square_().sum(0))


def saturated(distances: Tensor) -> Tensor:
    """Squared distances in place, at most ``2 WORST``, also for NaN.

    So one class that overflows leaves the others their densities.
    """
    top = 2 * WORST
    return distances.nan_to_num_(nan=top).clamp_max_(top)


@dataclass
class Gaussians:
    """One Gaussian per class, ready to be scored in K dimensions.

    Multiply-adds for n vectors and C classes: ``n C K (K + ROWS) / 2`` for
    ``full``, ``n C K`` for ``diag`` and ``tied`` (whose vectors come
    whitened).

    Attributes:
        kind (str): ``full``, ``tied`` or ``diag``.
        means (Tensor): (C, K).
        factors (Tensor): (C, K, K), (1, K, K) or (C, K), the transposed
            Cholesky factors of the precisions.
        log_dets (Tensor): (C,), with ``-K/2 log 2π`` in it.
    """

    kind: str
    means: Tensor
    factors: Tensor
    log_dets: Tensor

    def shift(self, label: int) -> Tensor:
        """The mean, whitened as the vectors are, (K,)."""
        if self.kind == 'diag':
            return self.means[label]
        factor = self.factors[0 if self.kind == 'tied' else label]
        return self.means[label] @ factor

    def shifts(self) -> Tensor:
        """All of them, (C, K)."""
        if self.kind == 'diag':
            return self.means
        return (self.means[:, None] @ self.factors)[:, 0]

    def distance(self, vectors: Tensor, label: int, shift: Tensor) -> Tensor:
        """Squared distance to one class, (K, n) -> (n,)."""
        if self.kind == 'full':
            factor = self.factors[label]
            total = vectors.new_zeros(vectors.shape[1])
            for start in range(0, len(vectors), ROWS):
                stop = min(start + ROWS, len(vectors))
                total += row_distances(vectors, factor, shift, start, stop)
            return total
        deviations = vectors - shift[:, None]
        if self.kind == 'diag':
            deviations *= self.factors[label][:, None]
        return saturated(deviations.square_().sum(0))

    def log_prob_of(self, vectors: Tensor, label: int) -> Tensor:
        """Log density under one class, (K, n) -> (n,)."""
        distance = self.distance(vectors, label, self.shift(label))
        return distance.mul_(-0.5).add_(self.log_dets[label])

    def log_prob(
        self, vectors: Tensor, classes: Sequence[int], shifts: Tensor
    ) -> Tensor:
        """Log density under some classes, (K, n) -> (len(classes), n)."""
        if self.kind == 'full' and len(vectors) <= ROWS:
            distances = self._small(vectors, classes, shifts)
        else:
            distances = torch.stack(
                [self.distance(vectors, c, shifts[c]) for c in classes]
            )
        return self.log_dets[classes, None] - 0.5 * distances

    def _small(
        self, vectors: Tensor, classes: Sequence[int], shifts: Tensor
    ) -> Tensor:
        """Few dimensions: one product for several classes at a time."""
        step = max(1, 512 // len(vectors))
        parts = []
        for start in range(0, len(classes), step):
            some = classes[start : start + step]
            rows = self.factors[some].transpose(-1, -2).flatten(0, 1) @ vectors
            rows -= shifts[some].flatten()[:, None]
            rows = rows.square_().unflatten(0, (len(some), -1))
            parts.append(saturated(rows.sum(1)))
        return torch.cat(parts)

    def log_mixture(
        self,
        vectors: Tensor,
        classes: Sequence[int],
        shifts: Tensor,
        log_priors: Tensor,
    ) -> Tensor:
        """``log p = log Σ_c π_c N(x; μ_c, Σ_c)``, (K, n) -> (n,).

        On a CPU and for many full dimensions it stops early. Let
        ``u_c = log π_c + log |P_c| - d_c / 2``, where d_c sums the rows of
        ``P_c^T (x - μ_c)`` computed so far. From row to row u_c can only
        fall; it ends at the log joint density l_c. The class with the
        highest u after the first ROWS rows is computed to its end, l*, and
        any other class only as long as ``u_c >= l* - TAIL``. Where it was
        given up, u_c stands in for l_c; both are below ``l* - TAIL``. With q
        the result, and as ``l* <= log p``,

        ``p <= q <= p + (C - 1) exp(l* - TAIL) <= p (1 + (C - 1) exp(-TAIL))``

        and ``0 <= log q - log p <= (C - 1) exp(-TAIL)``: 2e-12 nats at
        C = 21, far below the rounding of float32.

        Args:
            vectors (Tensor): (K, n).
            classes (Sequence[int]): Those with a prior.
            shifts (Tensor): (C, K).
            log_priors (Tensor): (C,).
        """
        size = len(vectors)
        if self.kind != 'full' or size <= ROWS or vectors.is_cuda:
            joint = self.log_prob(vectors, classes, shifts)
            return (joint + log_priors[classes, None]).logsumexp(0)
        first = [
            row_distances(vectors, self.factors[c], shifts[c], 0, ROWS)
            for c in classes
        ]
        upper = torch.stack(first).mul_(-0.5)
        upper += (self.log_dets + log_priors)[classes, None]
        best = upper.argmax(0)
        floor = torch.full_like(upper[0], -math.inf)
        for row, label in enumerate(classes):
            self._finish(
                vectors, label, shifts[label], upper[row], best == row, floor
            )
        floor = upper.gather(0, best[None])[0] - TAIL
        for row, label in enumerate(classes):
            alive = (upper[row] >= floor) & (best != row)
            self._finish(
                vectors, label, shifts[label], upper[row], alive, floor
            )
        return upper.logsumexp(0)

    def _finish(
        self,
        vectors: Tensor,
        label: int,
        shift: Tensor,
        upper: Tensor,
        alive: Tensor,
        floor: Tensor,
    ) -> None:
        """Subtract the rows behind the first ROWS from ``upper`` (n,).

        Only for the vectors alive, and while they are above their floor.
        """
        where: Tensor | None = None  # all of them
        part = vectors
        for start in range(ROWS, len(vectors), ROWS):
            kept = int(alive.sum())
            if kept == 0:
                return
            if 2 * kept < len(alive):  # worth a copy
                chosen = alive.nonzero().flatten()
                where = chosen if where is None else where[chosen]
                part, floor = columns(part, chosen), floor[chosen]
                alive = alive[chosen]
            stop = min(start + ROWS, len(vectors))
            more = row_distances(
                part, self.factors[label], shift, start, stop
            ).mul_(alive)
            if where is None:
                now = upper.sub_(more, alpha=0.5)
            else:
                now = upper[where] - 0.5 * more
                upper[where] = now
            alive = alive & (now >= floor)


def whiten(vectors: Tensor, factor: Tensor) -> Tensor:
    """``P^T x`` for an upper triangular P, (K, n) -> (K, n)."""
    steps = range(0, len(vectors), ROWS)
    return torch.cat(
        [
            factor[: i + ROWS, i : i + ROWS].transpose(-1, -2)
            @ vectors[: i + ROWS]
            for i in steps
        ]
    )


def columns(vectors: Tensor, where: Tensor) -> Tensor:
    """Chosen columns, (K, n) -> (K, len(where)), in either layout."""
    if vectors.stride(0) == 1:  # vectors lie one behind the other
        return vectors.transpose(-1, -2).index_select(0, where).mT
    return vectors.index_select(1, where)
