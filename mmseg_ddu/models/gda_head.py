"""The density head: per-class Gaussians over the features of a segmentor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.grouping import ClassGroups
from mmseg_ddu.core.quantiles import percentile, quantile_table
from mmseg_ddu.registry import MODELS

from .views import (
    PENULTIMATE,
    PREDICTED,
    View,
    classes_on_grid,
    resolve_views,
    spread,
)

NUM_QUANTILES = 1001


@MODELS.register_module()
class GDAHead(BaseModule):
    """Epistemic uncertainty of every pixel from its features.

    One set of Gaussians serves all positions (location-independent GDA,
    arXiv 2111.00079). With one view the score is ``-log p(z)`` in nats. With
    several, each view's ``-log p`` is standardised by its mean and spread on
    training pixels, and the score is their sum, in standard deviations.

    Args:
        num_classes (int): C of the decode head. The segmentor fills it in.
        views (str or list[dict]): A preset (``ddu-paper``, ``direction``,
            ``polar``, ``class-polar``) or view configs, each with ``tap``,
            ``transform``, ``standardize``, ``channels`` and any argument of
            the density below.
        covariance_type (str): ``full``, ``tied`` or ``diag``.
        rank (int, optional): Dimensions of the principal subspace.
        shrinkage (float or str): In [0, 1], or ``'oas'``.
        shrinkage_target (str): ``tied`` or ``identity``.
        reg_covar (float): Fraction of the mean variance added to the
            diagonals.
        priors (str): ``uniform`` (the paper) or ``empirical``.
        normalize (bool): L2-normalise the features; turns every ``raw`` view
            into ``direction``.
        channels (int, optional): D of the penultimate feature. The segmentor
            fills it in.

    Raises:
        ValueError: On unknown options.
    """

    fitted: Tensor
    view_mean: Tensor
    view_std: Tensor
    score_quantiles: Tensor

    def __init__(
        self,
        num_classes: int,
        views: str | Sequence[dict] = 'ddu-paper',
        covariance_type: str = 'full',
        rank: int | None = None,
        shrinkage: float | str = 0.0,
        shrinkage_target: str = 'tied',
        reg_covar: float = 1e-6,
        priors: str = 'uniform',
        normalize: bool = False,
        channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        common = dict(
            covariance_type=covariance_type,
            rank=rank,
            shrinkage=shrinkage,
            shrinkage_target=shrinkage_target,
            reg_covar=reg_covar,
            priors=priors,
        )
        configs = resolve_views(views)
        for config in configs:
            if normalize and config.get('transform', 'raw') == 'raw':
                config['transform'] = 'direction'
            if config.get('tap', PENULTIMATE) == PENULTIMATE:
                config.setdefault('channels', channels)
        self.num_classes = num_classes
        self.views = nn.ModuleList(
            View(num_classes, **{**common, **config}) for config in configs
        )
        count = len(self.views)
        self.register_buffer('fitted', torch.tensor(False))
        self.register_buffer('view_mean', torch.zeros(count))
        self.register_buffer('view_std', torch.ones(count))
        self.register_buffer(
            'score_quantiles', torch.zeros(NUM_QUANTILES, dtype=torch.float32)
        )

    @property
    def taps(self) -> list[str]:
        """Names of the features the views need, each once."""
        return list(dict.fromkeys(view.tap for view in self.views))

    @property
    def needs_classes(self) -> bool:
        """Whether a view wants to know the predicted classes."""
        return any(view.standardize for view in self.views)

    @property
    def unit(self) -> str:
        """Unit of the epistemic score."""
        in_nats = len(self.views) == 1 and not self.needs_classes
        return 'nats' if in_nats else 'standard deviations'

    def reset(self) -> None:
        """Forget the fit: the features are about to change."""
        self.fitted.fill_(False)

    def require_fitted(self) -> None:
        """Raise NotFittedError before the fit."""
        if not self.fitted:
            raise NotFittedError(
                'The densities of this model are not fitted, so there is no '
                'epistemic uncertainty yet. Run `python tools/fit_gda.py '
                'CONFIG CHECKPOINT` and use the *_gda.pth file it writes.'
            )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Epistemic score per pixel.

        Each view is scored on the grid of its own tap, image by image, which
        needs no copy of the features; the scores are resized bilinearly to
        the grid of the first tap.

        Args:
            features (dict[str, Tensor]): Tap name to (B, D, h, w); and, if
                ``needs_classes``, ``predicted`` to (B, 1, h, w).

        Returns:
            Tensor: (B, 1, h, w), higher is more uncertain.

        Raises:
            NotFittedError: Before the fit.
        """
        self.require_fitted()
        images = zip(*(value.split(1) for value in features.values()))
        return torch.cat(
            [self._score_image(dict(zip(features, one))) for one in images]
        )

    def _score_image(self, features: dict[str, Tensor]) -> Tensor:
        output = features[self.taps[0]].shape[2:]
        groups: dict[tuple, ClassGroups] = {}
        scores = []
        for view in self.views:
            grid = tuple(features[view.tap].shape[2:])
            if view.standardize and grid not in groups:
                predicted = classes_on_grid(features[PREDICTED], grid)
                groups[grid] = ClassGroups(
                    predicted.flatten(), self.num_classes
                )
            score = view(features[view.tap], groups.get(grid))
            if grid != output:
                score = F.interpolate(score, output, mode='bilinear')
            scores.append(score)
        return self.combine(scores)

    def combine(self, scores: Sequence[Tensor]) -> Tensor:
        """One score from the ``-log p`` of each view, all of one shape."""
        if len(scores) == 1:
            return scores[0]
        return sum(
            (score - mean) / std
            for score, mean, std in zip(scores, self.view_mean, self.view_std)
        )

    def percentile(self, scores: Tensor) -> Tensor:
        """Share of training pixels with a lower score, in [0, 1].

        0 is as ordinary as training pixels get, 1 is beyond all of them.
        """
        self.require_fitted()
        return percentile(scores, self.score_quantiles)

    @torch.no_grad()
    def calibrate(
        self, vectors: Sequence[Tensor], predicted: Tensor | None = None
    ) -> tuple[dict, Tensor]:
        """Store the spread of each view and the quantiles of the score.

        Args:
            vectors (Sequence[Tensor]): For each view, the transformed
                features (N, D') of the same N training pixels.
            predicted (Tensor, optional): (N,) their predicted classes.

        Returns:
            tuple[dict, Tensor]: Mean and spread per view and some quantiles;
            and the scores, (N,).
        """
        device = self.score_quantiles.device
        predicted = predicted if predicted is None else predicted.to(device)
        scores = []
        for view, vector in zip(self.views, vectors):
            vector = vector.to(device)
            view.calibrate(vector, predicted)
            scores.append(view.score(vector, predicted))
        for index, score in enumerate(scores):
            self.view_mean[index] = score.mean()
            self.view_std[index] = spread(score)
        combined = self.combine(scores)
        table = quantile_table(combined, NUM_QUANTILES)
        self.score_quantiles.copy_(table)
        shown = {
            f'q{round(100 * level)}': float(table[int(level * 1000)])
            for level in (0.0, 0.05, 0.5, 0.95, 1.0)
        }
        report = dict(
            pixels=len(combined),
            view_mean=self.view_mean.tolist(),
            view_std=self.view_std.tolist(),
            quantiles=shown,
        )
        return report, combined

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing, *rest
    ) -> None:
        """Refuse a partial or misshapen state instead of logging it.

        mmengine loads non-strictly and only logs a missing or misshapen key,
        which would leave densities that are half somebody else's.
        """
        own = {prefix + name: t for name, t in self.state_dict().items()}
        given = {key for key in state_dict if key.startswith(prefix)}
        if given:
            wrong = sorted(set(own) ^ given) or [
                f'{key} {tuple(state_dict[key].shape)} instead of '
                f'{tuple(tensor.shape)}'
                for key, tensor in own.items()
                if state_dict[key].shape != tensor.shape
            ]
            if wrong:
                raise ValueError(
                    'The densities in this checkpoint were fitted for '
                    'another gda_head or another network: '
                    f'{"; ".join(wrong[:4])}. Fit them again with '
                    'tools/fit_gda.py, or use the config they were fitted '
                    'with.'
                )
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, *rest
        )
