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
    DEFAULT: dict(transform='direction', stride=2, shrinkage=0.05),
    # As published: the feature as it is, every cell, no shrinkage.
    'ddu-paper': dict(transform='raw', stride=1, shrinkage=0.0),
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
        channels (int): D of the tap. The segmentor fills it in.
        preset (str): What the other options are if they are not given:
            ``direction``, or ``ddu-paper`` for the method as published.
        tap (str): ``penultimate``, the input of the classifier, or the name
            of a submodule of the segmentor whose output is taken
            (``decode_head.bottleneck``, ``backbone.layer3``), with ``[i]``
            behind it where it gives several (``backbone[0]``).
        density (str): ``gaussian``.
        options: Those of the density (:class:`GaussianDensity`:
            ``shrinkage``, ``covariance_type``, ``components``, ``rank``,
            ``reg_covar``, ``priors`` …), and

            - ``transform`` (str or Sequence[str]): What becomes of the
              feature: ``direction`` (L2-normalised), ``raw``, ``row_space``
              and ``null_space`` of the classifier; of several, one after
              the other;
            - ``stride`` (int): Score every so-manieth row and column of the
              feature map and interpolate between them; 2 by default.

    Raises:
        ValueError: On an unknown option or one that makes no sense.
    """

    fitted: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        preset: str = DEFAULT,
        tap: str = PENULTIMATE,
        density: str = 'gaussian',
        init_cfg: dict | None = None,
        **options,
    ) -> None:
        super().__init__(init_cfg)
        if preset not in PRESETS:
            raise ValueError(
                f'Expected preset to be one of {sorted(PRESETS)}, but got '
                f'{preset!r:.80}.'
            )
        defaults = dict(PRESETS[preset])
        names = options.pop('transform', defaults.pop('transform'))
        stride = options.pop('stride', defaults.pop('stride'))
        if type(stride) is not int or not 1 <= stride <= MAX_STRIDE:
            raise ValueError(
                f'Expected stride to be in [1, {MAX_STRIDE}], but got '
                f'{stride!r:.80}.'
            )
        self.num_classes, self.channels = num_classes, channels
        self.tap, self.stride = tap, stride
        width = channels
        self.transform = nn.Sequential()
        for name in [names] if isinstance(names, str) else names:
            step = TRANSFORMS.find(name)(width, num_classes)
            width = step.num_features
            self.transform.append(step)
        kind = DENSITIES.find(density)
        known = _known_options(kind, options)
        defaults = {k: v for k, v in defaults.items() if k in known}
        self.density = kind(num_classes, width, **{**defaults, **options})
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


def _known_options(density: Callable, options: dict) -> list[str]:
    """What a density takes; ValueError if some options are not among it."""
    known = list(inspect.signature(density).parameters)[2:]
    unknown = sorted(set(options) - set(known))
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
