"""The density head: -log p of the features of a segmentor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.errors import NotFittedError, require
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
FORMAT = 4  # of what a fit writes; the first two were another score
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
        added (Sequence[str]): Classes that :func:`~mmseg_ddu.apis.add_class`
            has added; never set by hand.
        density (str): ``gaussian``, or ``pca_top`` and ``pca_bottom``, one
            part of the directions (with ``top``, how many).
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
        added: Sequence[str] = (),
        init_cfg: dict | None = None,
        **options,
    ) -> None:
        super().__init__(init_cfg)
        require(
            preset in PRESETS,
            f'preset to be one of {sorted(PRESETS)}',
            preset,
        )
        defaults = dict(PRESETS[preset])
        names = options.pop('transform', defaults.pop('transform'))
        stride = options.pop('stride', defaults.pop('stride'))
        require(
            type(stride) is int and 1 <= stride <= MAX_STRIDE,
            f'stride to be in [1, {MAX_STRIDE}]',
            stride,
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
        self.added = tuple(map(str, added))
        self._new_density = partial(
            kind, num_features=width, **{**defaults, **options}
        )
        self.density = self._new_density(self.predicted_classes)
        self.surprise = Surprise()
        self.register_buffer('fitted', torch.tensor(False))
        self.register_buffer('format_version', torch.tensor(FORMAT))
        self.ready = False

    # Fitting

    def new_moments(self, device: torch.device | str = 'cpu') -> ClassMoments:
        """Empty moments for what :meth:`update` collects.

        Raises:
            ValueError: If classes were added: no image of a fit shows them.
        """
        if self.added:
            raise ValueError(
                f'The classes {self.added} were added to fitted densities. '
                'Fit without them (gda_head.added), then add them again.'
            )
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

    def set_fitted(self, fitted: bool = True) -> None:
        """Say whether the buffers are those of a fit."""
        self.fitted.fill_(fitted)
        self.ready = fitted

    def _load_from_state_dict(self, *args) -> None:
        super()._load_from_state_dict(*args)
        self.ready = bool(self.fitted)

    def require_fitted(self) -> None:
        """Raise NotFittedError before the fit."""
        if not self.ready:
            raise NotFittedError(
                'The densities of this model are not fitted, so there is no '
                'epistemic uncertainty yet. Run `python tools/fit_gda.py '
                'CONFIG CHECKPOINT` and use the *_gda.pth file it writes.'
            )

    @property
    def predicted_classes(self) -> int:
        """Those of the network, and those that were added."""
        return self.num_classes + len(self.added)

    def add_class(self, name: str, vectors: Tensor, images: int) -> None:
        """Learn a class more.

        Args:
            name (str): Of the class.
            vectors (Tensor): (N, D'), as :meth:`vectors` gives them.
            images (int): They are of so many.

        Raises:
            ValueError: If the density cannot be extended.
        """
        density = self._new_density(self.predicted_classes + 1)
        density = density.to(vectors.device)
        if not hasattr(density, 'extend'):
            raise ValueError(
                f'{type(density).__name__} cannot learn a class more; use '
                "density='gaussian'."
            )
        density.extend(self.density, vectors, images)
        self.density, self.added = density, (*self.added, name)

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
        return self._map(
            feature, lambda z: -self.density.score_samples(z)[:, None]
        )

    @torch.no_grad()
    def margins(self, feature: Tensor) -> Tensor:
        """How much likelier added classes are than all of the training.

        (B, D, h, w) -> (B, A, h, w): log density under each added class,
        minus the highest of the trained ones, in nats; priors count in
        neither. NaN where there is no score. Errors as in :meth:`forward`.
        """

        def likelier(vectors: Tensor) -> Tensor:
            log_probs = self.density.log_prob(vectors)
            known, added = log_probs.tensor_split([self.num_classes], 1)
            return added - known.amax(1, keepdim=True)

        return self._map(feature, likelier)

    def with_added(self, classes: Tensor, maps: Tensor) -> Tensor:
        """Classes (B, 1, H, W), with the added ones where they are likelier.

        Args:
            classes (Tensor): Of the network.
            maps (Tensor): (B, …, H, W), with the margins as last channels.
        """
        highest, which = maps[:, -len(self.added) :].max(1, keepdim=True)
        number = (self.num_classes + which).to(classes)
        return number.where(highest > 0, classes)

    def _map(
        self, feature: Tensor, score: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Scores of vectors, (N, M), for each cell, (B, M, h, w)."""
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
        scores = score(self.vectors(rows))
        scores = scores.view(some.shape[0], *some.shape[2:], -1)
        return _between(scores.movedim(3, 1), step, feature.shape[2:])


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

    Behind the last cell that was scored, its score goes on.
    """
    if step == 1:
        return scores
    scores = F.pad(scores, (0, 1, 0, 1), mode='replicate')
    height, width = (step * (n - 1) + 1 for n in scores.shape[2:])
    scores = F.interpolate(
        scores, (height, width), mode='bilinear', align_corners=True
    )
    return scores[:, :, : size[0], : size[1]]
