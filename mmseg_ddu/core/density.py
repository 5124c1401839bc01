"""One Gaussian per class: the parameters, and scoring with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .bounds import bounded
from .covariance import COVARIANCE_TYPES
from .errors import NotFittedError
from .grouping import ClassGroups
from .mahalanobis import Gaussians, columns, whiten

_LOG_2_PI = math.log(2 * math.pi)
_BLOCK_NUMBERS = 1 << 20  # floats of a block of vectors on a CPU: 4 MiB
_BLOCK_NUMBERS_GPU = 1 << 24
_BLOCK_VECTORS = 4096  # at most, on a CPU
_MOST_BYTES = 4 << 30  # of the factors


class GaussianDensity(nn.Module):
    """Class Gaussians as buffers of fixed shape, which score vectors.

    Multiply-adds for N vectors, D features, C classes and K the rank or D:

    ==========  =============================  =========================
    type        :meth:`score_samples`          :meth:`log_prob_of`
    ==========  =============================  =========================
    ``full``    ``N C K (K + 128) / 2``        ``N K (K + 128) / 2``
    ``tied``    ``N K (K + C)``                ``N K (K + 1)``
    ``diag``    ``N C K``                      ``N K``
    ==========  =============================  =========================

    and ``N D K`` more for the projection if there is a rank. The first
    figure is the worst case: classes far behind are given up early, see
    :meth:`Gaussians.log_mixture`. Vectors are taken in blocks, so the memory
    beside the result is some 16 MiB on a CPU, whatever N.

    Nothing here has a gradient. A vector with NaN or infinity, or one too far
    away for float32, has the log density ``-WORST``
    (:mod:`mmseg_ddu.core.bounds`).

    Args:
        num_classes (int): C.
        num_features (int): D.
        covariance_type (str): ``full``, ``tied`` or ``diag``.
        rank (int, optional): Dimensions of the principal subspace.

    Raises:
        ValueError: On unknown options.
    """

    means: Tensor
    precisions_cholesky: Tensor
    log_dets: Tensor
    log_priors: Tensor
    offset: Tensor
    basis: Tensor
    residual_variance: Tensor
    fitted: Tensor

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        covariance_type: str = 'full',
        rank: int | None = None,
    ) -> None:
        super().__init__()
        if covariance_type not in COVARIANCE_TYPES:
            raise ValueError(
                f'Expected covariance_type to be one of {COVARIANCE_TYPES}, '
                f'but got {covariance_type!r}.'
            )
        if rank is not None and not 1 <= rank < num_features:
            raise ValueError(
                f'Expected rank to be in [1, {num_features}), the number of '
                f'features, but got {rank}; leave it out to use them all.'
            )
        self.num_classes = num_classes
        self.num_features = num_features
        self.covariance_type = covariance_type
        self.rank = rank
        dim = rank or num_features
        factor = {
            'full': (num_classes, dim, dim),
            'tied': (1, dim, dim),
            'diag': (num_classes, dim),
        }[covariance_type]
        shapes = dict(
            means=(num_classes, dim),
            precisions_cholesky=factor,
            log_dets=(num_classes,),
            log_priors=(num_classes,),
            offset=(num_features,),
            residual_variance=(),
            basis=(num_features, rank) if rank else (0,),
        )
        size = 4 * math.prod(factor)
        if size > _MOST_BYTES:
            raise ValueError(
                f'{num_classes} {covariance_type} covariances of {dim} '
                f'features take {size / 2**30:.0f} GiB. Use a rank, or '
                "covariance_type='tied' or 'diag'."
            )
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer('fitted', torch.tensor(False))
        self._present: tuple[tuple[int, int], list[int]] | None = None

    @torch.no_grad()
    def log_prob(
        self, features: Tensor, scale: Tensor | None = None
    ) -> Tensor:
        """Log density under each class, in nats.

        Args:
            features (Tensor): (N, D). Computed in the precision of the
                buffers (float32 at least), whatever autocast says. The
                transpose of a (D, N) map is fastest and is not copied.
            scale (Tensor, optional): (N,), multiplies the vectors.

        Returns:
            Tensor: (N, C); −inf for a class that was never seen.

        Raises:
            NotFittedError: Before the fit.
            ValueError: On another number of features.
        """
        present = self._check(features)
        out = self.means.new_full((len(features), self.num_classes), -math.inf)
        with torch.autocast(features.device.type, enabled=False):
            gaussians = self._gaussians()
            shifts = gaussians.shifts()
            for block, part in self._blocks(features):
                vectors, constant = self._prepare(block, scale, part)
                joint = gaussians.log_prob(vectors, present, shifts)
                out[part, present] = bounded(joint + constant).mT
        return out

    @torch.no_grad()
    def score_samples(
        self, features: Tensor, scale: Tensor | None = None
    ) -> Tensor:
        """Log density log p(z) of each vector, (N,), in nats."""
        present = self._check(features)
        out = self.means.new_empty(len(features))
        with torch.autocast(features.device.type, enabled=False):
            gaussians = self._gaussians()
            shifts = gaussians.shifts()
            for block, part in self._blocks(features):
                vectors, constant = self._prepare(block, scale, part)
                out[part] = bounded(
                    constant
                    + gaussians.log_mixture(
                        vectors, present, shifts, self.log_priors
                    )
                )
        return out

    @torch.no_grad()
    def log_prob_of(
        self,
        features: Tensor,
        labels: Tensor | ClassGroups,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Log density of each vector under one class of its own, in nats.

        Costs a C-th of :meth:`log_prob`: the vectors of a class are taken
        together. Where the class was never seen, the density of all classes
        (:meth:`score_samples`) stands in.

        Args:
            features (Tensor): (N, D).
            labels (Tensor or ClassGroups): (N,) integers in ``[0, C)``;
                grouped once if several densities need them.
            scale (Tensor, optional): (N,), multiplies the vectors.

        Returns:
            Tensor: (N,).

        Raises:
            NotFittedError: Before the fit.
            ValueError: On another number of features, or on classes out of
                range.
        """
        present = self._check(features)
        if not isinstance(labels, ClassGroups):
            labels = ClassGroups(labels, self.num_classes)
        out = self.means.new_empty(len(features))
        with torch.autocast(features.device.type, enabled=False):
            gaussians = self._gaussians()
            for label, where in labels.blocks(self._block_size(features)):
                block = columns(features.mT, where).mT
                if label not in present:
                    some = scale if scale is None else scale[where]
                    out[where] = self.score_samples(block, some)
                    continue
                vectors, constant = self._prepare(block, scale, where)
                out[where] = bounded(
                    constant + gaussians.log_prob_of(vectors, label)
                )
        return out

    @torch.no_grad()
    def log_posterior(self, features: Tensor) -> Tensor:
        """Log probability of each class given the vector, by Bayes' rule.

        Linear discriminant analysis: all classes have one covariance, so
        it is linear in the vector and costs no more than ``N D C``.

        Args:
            features (Tensor): (N, D).

        Returns:
            Tensor: (N, C); -inf for a class that was never seen, NaN for a
            vector that is not finite.

        Raises:
            NotFittedError: Before the fit.
            ValueError: On another number of features, or of a density with
                class covariances or a rank.
        """
        self._check(features)
        if self.covariance_type != 'tied' or self.rank is not None:
            raise ValueError(
                "Expected a density with covariance_type='tied' and no rank."
            )
        out = self.means.new_empty(len(features), self.num_classes)
        with torch.autocast(features.device.type, enabled=False):
            rule = self.linear_rule()
            for block, part in self._blocks(features):
                out[part] = self.linear_posterior(block, *rule)
        return out

    def linear_rule(self) -> tuple[Tensor, Tensor]:
        """Weights (D, C) and biases (C,) of linear discriminant analysis.

        For a vector less the offset; of a tied covariance without a rank.
        """
        factor = self.precisions_cholesky[0]
        means = self.means.transpose(-1, -2)
        whitened = factor.transpose(-1, -2) @ means  # (D, C)
        constants = self.log_priors - 0.5 * whitened.square().sum(0)
        return factor @ whitened, constants

    def linear_posterior(
        self, features: Tensor, weights: Tensor, biases: Tensor
    ) -> Tensor:
        """(N, D) and the rule -> log probabilities (N, C)."""
        precision = torch.promote_types(features.dtype, self.means.dtype)
        vectors = features.transpose(-1, -2).to(precision)
        vectors = vectors - self.offset[:, None]
        joint = weights.transpose(-1, -2) @ vectors.to(weights)
        joint = joint + biases[:, None]
        return joint.transpose(-1, -2).log_softmax(1)

    def _check(self, features: Tensor) -> list[int]:
        """Check the input; return the classes that were seen.

        Reading the buffers waits for a GPU, so it is done once per state of
        theirs.
        """
        state = _state(self.log_priors)
        if self._present is None or self._present[0] != state:
            if not self.fitted:
                raise NotFittedError(
                    'This density is not fitted yet. Run the fit first '
                    '(tools/fit_gda.py, or fit_moments in Python).'
                )
            seen = torch.isfinite(self.log_priors).nonzero().flatten()
            present = seen.tolist()
            self._present = None if state is None else (state, present)
        else:
            present = self._present[1]
        if features.ndim != 2 or features.shape[1] != self.num_features:
            raise ValueError(
                f'Expected features of shape (N, {self.num_features}), but '
                f'got {tuple(features.shape)}.'
            )
        return present

    def _block_size(self, features: Tensor) -> int:
        if features.is_cuda:
            return max(1, _BLOCK_NUMBERS_GPU // self.num_features)
        size = _BLOCK_NUMBERS // self.num_features
        return max(1, min(size, _BLOCK_VECTORS))

    def _blocks(self, features: Tensor) -> Iterator[tuple[Tensor, slice]]:
        size = self._block_size(features)
        for start in range(0, len(features), size):
            part = slice(start, start + size)
            yield features[part], part

    def _gaussians(self) -> Gaussians:
        constant = 0.5 * self.means.shape[1] * _LOG_2_PI
        return Gaussians(
            self.covariance_type,
            self.means,
            self.precisions_cholesky,
            self.log_dets - constant,
        )

    def _prepare(
        self, block: Tensor, scale: Tensor | None, part: slice | Tensor
    ) -> tuple[Tensor, Tensor | float]:
        """What all classes share: the vectors as columns, and a constant.

        Scaled, relative to the offset, projected and, if all classes have
        one covariance, whitened.
        """
        precision = torch.promote_types(block.dtype, self.means.dtype)
        vectors = block.transpose(-1, -2).to(precision)
        if scale is not None:
            vectors = vectors * scale[part].to(vectors)
        # Less the offset first: a large mean would take float64's digits.
        vectors = (vectors - self.offset[:, None]).to(self.means.dtype)
        constant: Tensor | float = 0.0
        if self.rank is not None:
            everything = vectors.square().sum(0)
            vectors = self.basis.transpose(-1, -2) @ vectors
            residual = (everything - vectors.square().sum(0)).clamp_min(0)
            dropped = self.num_features - self.rank
            log_noise = dropped * (_LOG_2_PI + self.residual_variance.log())
            constant = -0.5 * (residual / self.residual_variance + log_noise)
        if self.covariance_type == 'tied':
            vectors = whiten(vectors, self.precisions_cholesky[0])
        return vectors, constant

    def _apply(self, fn: Callable, recurse: bool = True) -> GaussianDensity:
        """Move to a device, but never below float32 (``model.half()``)."""

        def at_least_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if tensor.is_floating_point() and moved.element_size() < 4:
                moved = tensor.to(moved.device)
            return moved

        return super()._apply(at_least_float32, recurse)


def _state(tensor: Tensor) -> tuple[int, int] | None:
    """Changes with a tensor's contents; None if that cannot be told."""
    return None if tensor.is_inference() else (id(tensor), tensor._version)
