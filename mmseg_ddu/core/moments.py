"""Streaming class-conditional first and second moments."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from .errors import require
from .memory import require_memory

_BLOCK_VECTORS = 4096
# Sums of squares between which float32 products keep their digits.
_SAFE = (1e-30, 1e36)


class ClassMoments:
    """Counts, means and scatter matrices per class, in one pass.

    Blocks of at most 4,096 vectors of a class are centred on their own mean
    and merged in float64 by the pairwise update of Chan, Golub and LeVeque
    (1983), so a mean that is far larger than the spread loses no digits.
    Inside a block the product is taken in the precision of the features,
    float32 at least: centring is done first and what rounding leaves of the
    mean is corrected in float64, so an entry (i, j) of a scatter matrix is
    wrong by some 1e-7 of the product of the two standard deviations (1e-6
    where the mean is thousands of them). Blocks whose squares float32 cannot
    hold are multiplied in float64. Memory is ``C * D**2`` float64 numbers
    (``C * D`` with ``diagonal=True``, ``D**2`` with ``pooled=True``),
    however many pixels were seen; time ``D**2`` multiply-adds a vector.

    A vector with NaN, infinity or anything else outside the range of float32
    is counted in ``nonfinite`` and left out.

    Args:
        num_classes (int): C. Labels outside ``[0, C)`` are ignored, which
            takes care of the void label.
        num_features (int): D.
        diagonal (bool): Keep only the diagonals of the scatter matrices.
        pooled (bool): Keep only the sum of the scatter matrices, which is
            all that a tied covariance needs.
        device (torch.device or str): Where the sums live.

    Attributes:
        counts (Tensor): (C,) float64, vectors seen per class.
        means (Tensor): (C, D) float64; zero for a class not seen.
        scatters (Tensor): (C, D, D), or (C, D) if ``diagonal``; sums of
            squared deviations from the class mean. With a first dimension
            of 1 if ``pooled``.
        nonfinite (Tensor): (C,) float64, vectors left out per class.

    Raises:
        ValueError: If there is not enough memory.

    Example:
        >>> moments = ClassMoments(num_classes=2, num_features=1)
        >>> _ = moments.update(torch.tensor([[1.], [3.], [9.]]),
        ...                    torch.tensor([0, 0, 255]))
        >>> moments.means[0].item(), moments.scatters[0].item()
        (2.0, 2.0)
    """

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        diagonal: bool = False,
        device: torch.device | str = 'cpu',
        pooled: bool = False,
    ) -> None:
        shape = (num_classes, num_features)
        require(
            min(shape) >= 1, 'num_classes and num_features of 1 or more', shape
        )
        self.diagonal, self.pooled = diagonal, pooled
        scatters = 1 if pooled else num_classes
        square = [num_features] * (1 if diagonal else 2)
        require_memory(
            8 * scatters * math.prod(square),
            f'The moments of {num_classes} classes and {num_features} '
            'features',
            "Use covariance_type='tied' or 'diag', or a tap with fewer "
            'channels.',
            device,
        )
        options = dict(dtype=torch.float64, device=device)
        self.counts = torch.zeros(num_classes, **options)
        self.means = torch.zeros(shape, **options)
        self.scatters = torch.zeros(scatters, *square, **options)
        self.nonfinite = torch.zeros(num_classes, **options)

    @property
    def num_classes(self) -> int:
        return self.means.shape[0]

    @property
    def num_features(self) -> int:
        return self.means.shape[1]

    def update(self, features: Tensor, labels: Tensor) -> ClassMoments:
        """Add vectors, (N, D) of any floating dtype, and their (N,) labels.

        Raises:
            ValueError: If the shapes do not fit.
        """
        require(
            features.ndim == 2 and features.shape[1] == self.num_features,
            f'features of shape (N, {self.num_features})',
            tuple(features.shape),
        )
        require(
            labels.shape == features.shape[:1],
            f'labels of shape {tuple(features.shape[:1])}',
            tuple(labels.shape),
        )
        labels = labels.long()
        known = labels[(labels >= 0) & (labels < self.num_classes)]
        for label in known.unique().tolist():
            own = (labels == label).nonzero().flatten()
            for where in own.split(_BLOCK_VECTORS):
                self._add_block(label, features.index_select(0, where).mT)
        return self

    def _add_block(self, label: int, vectors: Tensor) -> None:
        """Add vectors of one class, (D, n)."""
        precision = torch.promote_types(vectors.dtype, torch.float32)
        shift, rest, scatter = self._block_sums(vectors.to(precision))
        total = scatter.sum() if self.diagonal else scatter.trace()
        if not _SAFE[0] < float(total) < _SAFE[1]:
            finite = vectors.float().isfinite().all(0)
            vectors = vectors[:, finite].double()
            self.nonfinite[label] += len(finite) - vectors.shape[1]
            if vectors.shape[1] == 0:
                return
            shift, rest, scatter = self._block_sums(vectors)
        count = vectors.shape[1]
        self._merge_class(label, count, shift + rest, scatter, rest)

    def _block_sums(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """About the mean, what it lacks, and the scatter around it."""
        shift = vectors.mean(1)
        vectors = vectors - shift[:, None]
        # The rounding of the shift: what is left of the mean, in float64.
        rest = vectors.mean(1, dtype=torch.float64)
        if self.diagonal:
            scatter = vectors.square().sum(1, dtype=torch.float64)
        else:
            scatter = (vectors @ vectors.mT).double()
        return shift.double(), rest, scatter

    def merge(self, other: ClassMoments) -> ClassMoments:
        """Add all that another object has seen (another rank, say)."""
        mine = self.means.shape, self.scatters.shape
        its = other.means.shape, other.scatters.shape
        same = 'moments of the same classes, features and kind'
        require(mine == its, f'{same}, {mine}', its)
        for label in other.counts.nonzero().flatten().tolist():
            self._merge_class(
                label,
                float(other.counts[label]),
                other.means[label].to(self.means),
                None
                if self.pooled
                else other.scatters[label].to(self.scatters),
            )
        if self.pooled:
            self.scatters += other.scatters.to(self.scatters)
        self.nonfinite += other.nonfinite.to(self.nonfinite)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """All that was seen, on the CPU, bit for bit."""
        names = ('counts', 'means', 'scatters', 'nonfinite')
        return {name: getattr(self, name).cpu() for name in names}

    def load_state_dict(self, state: dict[str, Tensor]) -> ClassMoments:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: If it is of other classes, features or kind.
        """
        for name, values in state.items():
            own = getattr(self, name)
            require(
                own.shape == values.shape,
                f'saved moments with {name} of shape {tuple(own.shape)}',
                tuple(values.shape),
            )
            own.copy_(values)
        return self

    def _merge_class(
        self,
        label: int,
        count: float,
        mean: Tensor,
        scatter: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> None:
        """Add vectors whose scatter is around their mean minus a shift."""
        before = float(self.counts[label])
        total = before + count
        delta = mean - self.means[label]
        own = self.scatters[0 if self.pooled else label]
        if scatter is not None:
            own.add_(scatter)
        self._add_square(own, delta, before * count / total)
        if shift is not None:
            self._add_square(own, shift, -float(count))
        self.means[label] += delta * (count / total)
        self.counts[label] = total

    def _add_square(self, own: Tensor, vector: Tensor, weight: float) -> None:
        if self.diagonal:
            own.addcmul_(vector, vector, value=weight)
        else:
            own.addr_(vector, vector, alpha=weight)

    def pooled_mean(self) -> Tensor:
        """Mean of all vectors, (D,)."""
        self.require_data()
        return (self.counts @ self.means) / self.counts.sum()

    def total_scatter(self) -> Tensor:
        """Scatter around the pooled mean, (D, D) or (D,)."""
        deviations = self.means - self.pooled_mean()
        if self.diagonal:
            between = self.counts @ deviations.square()
        else:
            between = deviations.T @ (self.counts[:, None] * deviations)
        return self.scatters.sum(0) + between

    def projected(self, offset: Tensor, basis: Tensor | None) -> ClassMoments:
        """Moments of ``(z - offset) @ basis``, without another pass.

        The columns of the basis, (D, K), are orthonormal.
        """
        result = copy.copy(self)
        result.means = self.means - offset
        if basis is not None:
            result.means = result.means @ basis
            result.scatters = basis.T @ self.scatters @ basis
        return result

    def require_data(self) -> None:
        """Raise ValueError, with the reason, if nothing was counted."""
        if self.counts.sum() > 0:
            return
        if self.nonfinite.sum() > 0:
            raise ValueError(
                f'All {int(self.nonfinite.sum())} labelled features hold NaN '
                'or infinite values; the network that made them is broken '
                '(diverged training, or half precision that overflowed).'
            )
        raise ValueError(
            'No labelled feature was seen: every label was ignored or '
            'out of range. Check the annotations, ignore_index and '
            'reduce_zero_label of the data set.'
        )
