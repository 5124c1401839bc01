"""A classifier whose logits are log densities, learned in training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.mahalanobis import (
    diagonal_squares,
    distances,
    tied_squares,
)

COVARIANCES = ('diag', 'tied', 'full')
SINKHORN_STEPS, SINKHORN_SHARPNESS = 10, 4.0
FIRST_MEANS = 0.1  # length of the means before there are data
ROUNDING = 1e-6  # of float32, where variances are small beside the means


class GaussianClassifier(nn.Module):
    """K Gaussians a class over an embedding of the feature.

    A 1x1 convolution embeds the feature of each pixel; the logit of a class
    is log p(z, class) of its embedding z, under the likeliest of the K
    Gaussians, over a learned temperature. The Gaussians follow the
    embeddings of the labelled pixels by moments that forget exponentially;
    the embedding follows the loss, and so does a shift of each mean, in
    standard deviations, that weight decay pulls to zero (after Liang et al.,
    "GMMSeg", NeurIPS 2022, arXiv 2210.02025). A step without pixels of a
    class leaves its moments as they are, so p(class) counts the steps in
    which it occurs: rare classes are favoured.

    Args:
        channels (int): D of the feature.
        num_classes (int): C.
        dim (int): D' of the embedding.
        components (int): K. For K > 1 the pixels of a class are shared out
            evenly (Sinkhorn, as in arXiv 2006.09882).
        covariance_type (str): ``tied`` (one for all), ``diag`` or ``full``
            (one for each Gaussian).
        normalize (bool): L2-normalise the embedding.
        momentum (float): What a step keeps of the moments, in [0, 1).
        reg_covar (float): Added to each variance, which keeps it positive.
    """

    weights: Tensor
    sums: Tensor
    squares: Tensor
    whitening: Tensor

    def __init__(
        self,
        channels: int,
        num_classes: int,
        dim: int = 64,
        components: int = 1,
        covariance_type: str = 'tied',
        normalize: bool = True,
        momentum: float = 0.9,
        reg_covar: float = 1e-2,
    ) -> None:
        super().__init__()
        kinds = f'covariance_type to be one of {COVARIANCES}'
        require(covariance_type in COVARIANCES, kinds, covariance_type)
        for name, value in (('dim', dim), ('components', components)):
            positive = type(value) is int and value > 0
            require(positive, f'{name} to be a positive integer', value)
        require(0 <= momentum < 1, 'momentum to be in [0, 1)', momentum)
        require(reg_covar > 0, 'reg_covar to be positive', reg_covar)
        self.in_channels, self.out_channels = channels, num_classes
        self.covariance_type, self.momentum = covariance_type, momentum
        self.reg_covar = reg_covar
        self.embedding = Embedding(channels, dim, normalize)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        shape = (num_classes, components, dim)
        self.shift = nn.Parameter(torch.zeros(shape))
        # As if one pixel had been seen by each, far wider than it is known.
        means = FIRST_MEANS * F.normalize(torch.randn(shape), dim=-1)
        first = torch.full((dim,), 1 / dim if normalize else 1.0)
        self.register_buffer('weights', torch.ones(shape[:2]))
        self.register_buffer('sums', means)
        second = self._second(means) + (
            first if covariance_type == 'diag' else first.diag()
        )
        self.register_buffer('squares', second)
        self.register_buffer('whitening', self._whitening())
        self.seen: Tensor | None = None

    @property
    def means(self) -> Tensor:
        """(C, K, D'), those of the moments."""
        return self.sums / self.weights[..., None]

    @property
    def weight(self) -> Tensor:
        """(C, D'), what stands for the rows of a linear classifier.

        What the logits have that is linear in the embedding; all of it,
        if one covariance is ``tied`` and K = 1.
        """
        white, shift = self.whitening, self.shift.detach()
        if self.covariance_type == 'diag':
            return ((self.means * white + shift) * white).mean(1)
        rows = self._whitened(self.means) + shift
        if self.covariance_type == 'tied':
            return (rows @ white).mean(1)
        return torch.einsum('cke,cked->ckd', rows, white).mean(1)

    def _whitened(self, means: Tensor) -> Tensor:
        """(C, K, D') each by its own covariance, or by that of all."""
        form = (
            'ckd,ed->cke'
            if self.covariance_type == 'tied'
            else 'ckd,cked->cke'
        )
        return torch.einsum(form, means, self.whitening)

    def _second(self, vectors: Tensor) -> Tensor:
        """Squares (C, K, D'), or products (C, K, D', D'), of vectors."""
        if self.covariance_type == 'diag':
            return vectors**2
        return vectors[..., :, None] * vectors[..., None, :]

    def covariances(self) -> Tensor:
        """(C, K, D') variances, (C, K, D', D'), or (D', D') if tied."""
        diagonal = self.covariance_type == 'diag'
        shares = self.weights[(..., *[None] * (1 if diagonal else 2))]
        found = self.squares / shares - self._second(self.means)
        if diagonal:
            return found.clamp(min=0) + self.reg_covar
        if self.covariance_type == 'tied':
            found = (shares * found).sum((0, 1)) / shares.sum()
        longest = self.squares.diagonal(dim1=-2, dim2=-1) / shares[..., 0]
        ridge = self.reg_covar + ROUNDING * longest.sum(-1).max()
        return found + ridge * _eye_like(found)

    def _whitening(self) -> Tensor:
        """What makes the covariances I: of the shape of these."""
        covariances = self.covariances()
        if self.covariance_type == 'diag':
            return covariances.rsqrt()
        factors = torch.linalg.cholesky(covariances)
        return torch.linalg.solve_triangular(
            factors, _eye_like(factors), upper=False
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z | class, component), (N, D') -> (N, C, K), in nats."""
        white, means = self.whitening, self.means
        if self.covariance_type == 'diag':
            means = (means + self.shift / white).flatten(0, 1)
            squares = diagonal_squares(z, white.flatten(0, 1), means)
            volumes = white.log().sum(-1)
        else:
            at = (self._whitened(means) + self.shift).flatten(0, 1)
            if self.covariance_type == 'tied':
                squares = tied_squares(z, white.transpose(-1, -2), at)
            else:
                squares = (
                    distances(z, white.flatten(0, 1).transpose(-1, -2), at)
                    .square()
                    .T
                )
            volumes = white.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = z.shape[1] * math.log(2 * math.pi)
        return volumes - 0.5 * (
            squares.unflatten(1, self.weights.shape) + constant
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Logits, (B, D, h, w) -> (B, C, h, w), in float32."""
        z = self.embedding(feature)
        if self.training:
            self.seen = z.detach()
        rows = z.movedim(1, -1)
        with torch.autocast(z.device.type, enabled=False):
            best = self.log_prob(rows.reshape(-1, z.shape[1])).amax(-1)
            pixels = self.weights.sum(1)
            joint = best + (pixels / pixels.sum()).log()
            logits = joint / self.log_temperature.exp()
        return logits.view(*rows.shape[:-1], -1).permute(0, 3, 1, 2)

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
        # Pixels that are not finite count in nothing, as void ones.
        finite = rows.isfinite().all(1)
        classes = small.flatten().long().where(finite, ignore_index)
        moments = self.weights, self.sums, self.squares
        found = [torch.zeros_like(each) for each in moments]
        with torch.autocast(z.device.type, enabled=False):
            for number in range(self.out_channels):
                mine = rows[classes == number]
                if len(mine) and number != ignore_index:
                    self._add(mine, number, found)
            for new in found:
                all_reduce(new)
            # A class without pixels keeps its moments.
            there = found[0].sum(1) > 0
            for kept, new in zip(moments, found):
                kept[there] = self.momentum * kept[there] + new[there]
            # Anew: the backward pass of this step needs the one before.
            self.whitening = self._whitening()

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


def _eye_like(matrices: Tensor) -> Tensor:
    eye = torch.eye(
        matrices.shape[-1], dtype=matrices.dtype, device=matrices.device
    )
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
