"""The density head: -log p of the features of a segmentor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.precise_module import PreciseModule
from mmseg_ddu.core.surprise import Surprise
from mmseg_ddu.core.transforms import TRANSFORMS
from mmseg_ddu.registry import MODELS

PENULTIMATE = 'penultimate'
DEFAULT = 'direction'
PRESETS: dict[str, dict] = {
    # One full Gaussian a class over the direction of the feature.
    DEFAULT: dict(transform='direction', shrinkage=0.05),
    # As published: the feature as it is, no shrinkage, every cell.
    'ddu-paper': dict(transform='raw', shrinkage=0.0, stride=1),
}
FORMAT = 3  # of what a fit writes; the first two were another score
MAX_STRIDE = 64


@MODELS.register_module()
class GDAHead(PreciseModule, BaseModule):
    """Minus the log density of every pixel's feature, in nats.

    One set of Gaussians serves all positions (location-independent GDA,
    arXiv 2111.00079). The score of a cell depends on its feature alone.

    Args:
        num_classes (int): C of the decode head. The segmentor fills it in.
        channels (int, optional): D of the tap. The segmentor fills it in.
        preset (str): What the next options are if they are not given:
            ``direction``, or ``ddu-paper`` for the method as published.
        tap (str): ``penultimate``, the input of the classifier, or the name
            of a submodule of the segmentor whose output is taken
            (``decode_head.bottleneck``, ``backbone.layer3``), with ``[i]``
            behind it where it gives several (``backbone[0]``).
        transform (str or Sequence[str], optional): What becomes of the
            feature: ``direction`` (L2-normalised), ``raw``, ``row_space``
            and ``null_space`` of the classifier; of several, one after the
            other.
        density (str): ``gaussian``.
        stride (int, optional): Score every so-manieth row and column of the
            feature map and interpolate between them; 2 by default.
        density_options: Of :class:`GaussianDensity`: ``shrinkage``,
            ``covariance_type``, ``components``, ``rank``, ``reg_covar``,
            ``priors`` …

    Raises:
        ValueError: On an unknown option or one that makes no sense.
    """

    fitted: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int | None = None,
        preset: str = DEFAULT,
        tap: str = PENULTIMATE,
        transform: str | Sequence[str] | None = None,
        density: str = 'gaussian',
        stride: int | None = None,
        init_cfg: dict | None = None,
        **density_options,
    ) -> None:
        super().__init__(init_cfg)
        if preset not in PRESETS:
            raise ValueError(
                f'Expected preset to be one of {sorted(PRESETS)}, but got '
                f'{preset!r:.80}.'
            )
        chosen = dict(PRESETS[preset])
        default_transform = chosen.pop('transform')
        default_stride = chosen.pop('stride', 2)
        self.stride = default_stride if stride is None else stride
        whole = type(self.stride) is int and 1 <= self.stride <= MAX_STRIDE
        if not whole:
            raise ValueError(
                f'Expected stride to be in [1, {MAX_STRIDE}], but got '
                f'{self.stride!r:.80}.'
            )
        if channels is None:
            raise ValueError(
                f'The number of channels of {tap!r} is not known; set '
                'channels.'
            )
        self.num_classes, self.channels, self.tap = num_classes, channels, tap
        names = default_transform if transform is None else transform
        names = [names] if isinstance(names, str) else list(names)
        steps: list[nn.Module] = []
        for name in names:
            width = steps[-1].num_features if steps else channels
            steps.append(TRANSFORMS.find(name)(width, num_classes))
        self.transform = nn.Sequential(*steps)
        width = steps[-1].num_features if steps else channels
        kind = DENSITIES.find(density)
        known = _known_options(kind, density_options)
        defaults = {key: chosen[key] for key in chosen if key in known}
        self.density = kind(
            num_classes, width, **{**defaults, **density_options}
        )
        self.surprise = Surprise()
        self.register_buffer('fitted', torch.tensor(False))
        self.register_buffer('format_version', torch.tensor(FORMAT))
        self.ready = False

    # Fitting

    def new_moments(self, device: torch.device | str = 'cpu') -> ClassMoments:
        """Empty moments for what :meth:`update` collects."""
        return self.density.new_moments(device)

    @torch.no_grad()
    def vectors(self, features: Tensor) -> Tensor:
        """Features (N, D) as the density sees them, (N, D') float32."""
        with torch.autocast(features.device.type, enabled=False):
            return self.transform(features.float())

    def update(
        self, moments: ClassMoments, features: Tensor, labels: Tensor
    ) -> None:
        """Add vectors (N, D') and their classes (N,) to moments."""
        groups = self.density.groups(features, labels)
        device = moments.means.device
        moments.update(features.to(device), groups.to(device))

    def prepare(self, weight: Tensor) -> None:
        """Let the transforms see the classifier's weight, (C, D, …)."""
        for step in self.transform:
            if hasattr(step, 'fit'):
                step.fit(weight.flatten(1))

    def reset(self) -> None:
        """Forget the fit: the features are about to change."""
        self.set_fitted(False)

    def set_fitted(self, fitted: bool = True) -> None:
        """Say whether the buffers are those of a fit."""
        self.fitted.fill_(fitted)
        self.ready = fitted

    def require_fitted(self) -> None:
        """Raise NotFittedError before the fit."""
        if not self.ready:
            raise NotFittedError(
                'The densities of this model are not fitted, so there is no '
                'epistemic uncertainty yet. Run `python tools/fit_gda.py '
                'CONFIG CHECKPOINT` and use the *_gda.pth file it writes.'
            )

    # Scoring

    @torch.no_grad()
    def forward(self, feature: Tensor) -> Tensor:
        """Score of every cell, (B, D, h, w) -> (B, 1, h, w), in nats.

        Higher is more uncertain; NaN or infinite where there is no score,
        and in the cells interpolated from such a one.

        Raises:
            NotFittedError: Before the fit.
            ValueError: If the tap gives another number of channels.
        """
        self.require_fitted()
        if feature.ndim != 4 or feature.shape[1] != self.channels:
            raise ValueError(
                f'Expected the feature {self.tap!r} to be of shape '
                f'(B, {self.channels}, h, w), but got '
                f'{tuple(feature.shape)}. The densities belong to another '
                'network, or channels is wrong.'
            )
        step = self.stride
        some = feature[:, :, ::step, ::step]
        rows = some.movedim(1, -1).reshape(-1, self.channels)
        log_probs = self.density.score_samples(self.vectors(rows))
        scores = -log_probs.view(some.shape[0], 1, *some.shape[2:])
        return _between(scores, step, feature.shape[2:])

    def percentile(self, scores: Tensor) -> Tensor:
        """Share of held-out training pixels with a lower score, in [0, 1]."""
        self.require_fitted()
        return self.surprise.percentile(scores)


def _known_options(kind: Callable, options: dict) -> list[str]:
    """What a density takes; ValueError if some options are not among it."""
    known = list(inspect.signature(kind).parameters)[2:]
    unknown = sorted(map(str, set(options) - set(known)))
    if unknown:
        own = ['preset', 'tap', 'transform', 'density', 'stride']
        raise ValueError(
            f'Unknown options {unknown} of the density head; there are '
            f'{own + known}.'
        )
    return known


def _between(scores: Tensor, step: int, size: Sequence[int]) -> Tensor:
    """Scores of every so-manieth cell -> of all, bilinear.

    The cells that were scored keep their scores; behind the last of them its
    score goes on.
    """
    if step == 1:
        return scores
    scores = F.pad(scores, (0, 1, 0, 1), mode='replicate')
    height, width = (step * (n - 1) + 1 for n in scores.shape[2:])
    scores = F.interpolate(
        scores, (height, width), mode='bilinear', align_corners=True
    )
    return scores[:, :, : size[0], : size[1]]
