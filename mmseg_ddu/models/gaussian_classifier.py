"""A classifier whose logits are log densities, learned in training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

COVARIANCES = ('diag', 'full')
SINKHORN_STEPS, SINKHORN_SHARPNESS = 10, 4.0


class GaussianClassifier(nn.Module):
    """K Gaussians a class over an embedding of the feature.

    A 1x1 convolution embeds the feature of each pixel; the logit of a class
    is log p(z | class) of its embedding z, that of the best of the K
    Gaussians, over a learned temperature. The Gaussians follow the
    embeddings of the labelled pixels by moments that forget exponentially;
    the embedding follows the loss (after Liang et al., "GMMSeg", NeurIPS
    2022, arXiv 2210.02025).

    Args:
        channels (int): D of the feature.
        num_classes (int): C.
        dim (int): D' of the embedding.
        components (int): K. For K > 1 the pixels of a class are shared out
            evenly (Sinkhorn, as in arXiv 2006.09882).
        covariance_type (str): ``diag`` or ``full``.
        normalize (bool): L2-normalise the embedding.
        momentum (float): What a step keeps of the moments, in [0, 1).
        reg_covar (float): Added to each variance, which keeps it positive.
    """

    weights: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(
        self,
        channels: int,
        num_classes: int,
        dim: int = 64,
        components: int = 1,
        covariance_type: str = 'diag',
        normalize: bool = True,
        momentum: float = 0.99,
        reg_covar: float = 1e-2,
    ) -> None:
        super().__init__()
        if covariance_type not in COVARIANCES:
            raise ValueError(
                f'Expected covariance_type to be one of {COVARIANCES}, but '
                f'got {covariance_type!r:.80}.'
            )
        for name, value in (('dim', dim), ('components', components)):
            if type(value) is not int or value < 1:
                raise ValueError(
                    f'Expected {name} to be a positive integer, but got '
                    f'{value!r:.80}.'
                )
        if not 0 <= momentum < 1 or not reg_covar > 0:
            raise ValueError(
                'Expected momentum to be in [0, 1) and reg_covar to be '
                f'positive, but got {momentum!r:.80} and {reg_covar!r:.80}.'
            )
        self.in_channels, self.out_channels = channels, num_classes
        self.covariance_type = covariance_type
        self.normalize, self.momentum = normalize, momentum
        self.reg_covar = reg_covar
        self.embedding = Embedding(channels, dim, normalize)
        self.log_temperature = nn.Parameter(torch.tensor(0.5 * math.log(dim)))
        shape = (num_classes, components, dim)
        means = F.normalize(torch.randn(shape), dim=-1)
        square = shape if covariance_type == 'diag' else (*shape, dim)
        # A first pixel, so that there is a Gaussian before there are data.
        self.register_buffer('weights', torch.ones(shape[:2]))
        self.register_buffer('sums', means)
        self.register_buffer('squares', _products(means, square))
        self.seen: Tensor | None = None

    @property
    def means(self) -> Tensor:
        """(C, K, D')."""
        return self.sums / self.weights[..., None]

    @property
    def weight(self) -> Tensor:
        """(C, D'), what stands for the rows of a linear classifier."""
        return self.means.mean(1)

    def covariances(self) -> Tensor:
        """(C, K, D') variances, or (C, K, D', D'); positive definite."""
        shape = self.squares.shape
        weights = self.weights.reshape(
            *self.weights.shape, *[1] * (len(shape) - 2)
        )
        found = self.squares / weights - _products(self.means, shape)
        if self.covariance_type == 'diag':
            return found.clamp(min=0) + self.reg_covar
        ridge = self.reg_covar * torch.eye(shape[-1], device=found.device)
        return found + ridge

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z | class, component), (N, D') -> (N, C, K), in nats."""
        means, covariances = self.means, self.covariances()
        constant = z.shape[1] * math.log(2 * math.pi)
        if self.covariance_type == 'diag':
            inverse = 1 / covariances
            distances = (
                (z**2) @ inverse.flatten(0, 1).T
                - 2 * z @ (means * inverse).flatten(0, 1).T
                + (means**2 * inverse).sum(-1).flatten()
            ).view(-1, *means.shape[:2])
            volumes = covariances.log().sum(-1)
        else:
            factors = torch.linalg.cholesky(covariances)
            whitening = torch.linalg.solve_triangular(
                factors, _eye_like(factors), upper=False
            )
            white = torch.einsum('nd,cked->ncke', z, whitening)
            centres = torch.einsum('ckd,cked->cke', means, whitening)
            distances = (white - centres).square().sum(-1)
            diagonals = factors.diagonal(dim1=-2, dim2=-1)
            volumes = 2 * diagonals.log().sum(-1)
        return -0.5 * (distances + volumes + constant)

    def forward(self, feature: Tensor) -> Tensor:
        """Logits, (B, D, h, w) -> (B, C, h, w), in float32."""
        z = self.embedding(feature)
        if self.training:
            self.seen = z.detach()
        rows = z.movedim(1, -1)
        with torch.autocast(z.device.type, enabled=False):
            best = self.log_prob(rows.reshape(-1, z.shape[1])).amax(-1)
            logits = best / self.log_temperature.exp()
        return logits.view(*rows.shape[:-1], -1).movedim(-1, 1)

    @torch.no_grad()
    def observe(self, labels: Tensor, ignore_index: int = 255) -> None:
        """Move the Gaussians towards the embeddings of the last forward.

        Args:
            labels (Tensor): (B, H, W) classes.
            ignore_index (int): Label of pixels that count in nothing.
        """
        if self.seen is None:
            return
        z, self.seen = self.seen, None
        small = F.interpolate(
            labels[:, None].float(), z.shape[2:], mode='nearest'
        )
        rows = z.movedim(1, -1).reshape(-1, z.shape[1])
        classes = small.flatten().long()
        sums = [torch.zeros_like(self.weights), torch.zeros_like(self.sums)]
        sums.append(torch.zeros_like(self.squares))
        for number in range(self.out_channels):
            mine = rows[classes == number]
            if len(mine) and number != ignore_index:
                self._add(mine, number, sums)
        for kept, new in zip((self.weights, self.sums, self.squares), sums):
            all_reduce(new)
            kept.mul_(self.momentum).add_(new)

    def _add(self, mine: Tensor, number: int, sums: list[Tensor]) -> None:
        """Moments of the pixels of one class, shared out over components."""
        share = _even_shares(self.log_prob(mine)[:, number])
        weights, first, second = sums
        weights[number] = share.sum(0)
        first[number] = share.T @ mine
        if self.covariance_type == 'diag':
            second[number] = share.T @ mine**2
        else:
            second[number] = torch.einsum('nk,nd,ne->kde', share, mine, mine)


class Embedding(nn.Module):
    """A 1x1 convolution and, if asked for, the direction of its output."""

    def __init__(self, channels: int, dim: int, normalize: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, dim, 1)
        self.normalize = normalize

    def forward(self, feature: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D', h, w), in float32."""
        z = self.conv(feature).float()
        return F.normalize(z, dim=1) if self.normalize else z


def _products(means: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Squares (…, D) of means, or outer products (…, D, D)."""
    if len(shape) == means.ndim:
        return means**2
    return means[..., :, None] * means[..., None, :]


def _eye_like(matrices: Tensor) -> Tensor:
    eye = torch.eye(matrices.shape[-1], device=matrices.device)
    return eye.expand_as(matrices)


def _even_shares(log_prob: Tensor) -> Tensor:
    """(N, K) log densities -> how much of a pixel each component gets.

    Rows sum to one, and columns become about equal (Sinkhorn).
    """
    number, components = log_prob.shape
    if components == 1:
        return torch.ones_like(log_prob)
    spread = log_prob.std().clamp(min=1e-6)
    shares = (log_prob - log_prob.amax(1, keepdim=True)) / spread
    shares = (SINKHORN_SHARPNESS * shares).exp()
    for _ in range(SINKHORN_STEPS):
        shares = shares / shares.sum(0, keepdim=True).clamp(min=1e-12)
        shares = shares / shares.sum(1, keepdim=True)
    return shares
