"""The density head: per-class Gaussians over the features of a segmentor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_ddu.core.bounds import (
    WORST,
    is_lost,
    resize_scores,
    standardized,
)
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.grouping import ClassGroups
from mmseg_ddu.core.quantiles import percentile, quantile_table
from mmseg_ddu.core.regions import region_means
from mmseg_ddu.registry import MODELS

from .head_calibration import calibrated_scores, finite_pixels
from .head_options import HEAD, check_options, checked_views
from .head_state import FORMAT, check_state, migrate
from .presets import DEFAULT, LOGITS, PENULTIMATE, PREDICTED
from .special_views import build_view
from .views import classes_on_grid

NUM_QUANTILES = 1001


@MODELS.register_module()
class GDAHead(BaseModule):
    """Epistemic uncertainty of every pixel from its features.

    One set of Gaussians serves all positions (location-independent GDA,
    arXiv 2111.00079). With one view the score is ``-log p(z)`` in nats. With
    several, each view's score is standardised by its mean and spread on
    training pixels, and the result is their weighted sum, in standard
    deviations: of the pixel itself, of its region (all pixels of the image
    with the same predicted class), and of the image.

    Args:
        num_classes (int): C of the decode head. The segmentor fills it in.
        views (str or list[dict]): A preset (``multi-scale``, ``ddu-paper``,
            ``direction``, ``polar``, ``class-polar``) or view configs, each
            with arguments of :class:`mmseg_ddu.models.views.View` and of the
            density below.
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
    view_threshold: Tensor
    score_quantiles: Tensor
    temperature: Tensor

    def __init__(
        self,
        num_classes: int,
        views: str | Sequence[dict] = DEFAULT,
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
        own = dict(normalize=normalize, channels=channels)
        own.update(common, num_classes=num_classes)
        check_options(own, HEAD, 'gda_head')
        configs = checked_views(views)
        for config in configs:
            if normalize and config.get('transform', 'raw') == 'raw':
                config['transform'] = 'direction'
            if config.get('tap', PENULTIMATE) == PENULTIMATE:
                config.setdefault('channels', channels)
            elif config['tap'] == LOGITS:
                config.setdefault('channels', num_classes)
        self.num_classes = num_classes
        self.views = nn.ModuleList(
            build_view(num_classes, **{**common, **config})
            for config in configs
            if config.get('channels') or not config.get('optional')
        )
        if self.first_density is None:
            raise ValueError('Expected at least one view with a density.')
        if not any(view.weight or view.region_weight for view in self.views):
            raise ValueError('Expected a view with a weight that is not 0.')
        count = len(self.views)
        self.register_buffer('fitted', torch.tensor(False))
        self.register_buffer('format_version', torch.tensor(FORMAT))
        # Divides the logits, if a temperature was asked for.
        self.register_buffer('temperature', torch.ones(()))
        self.register_buffer('view_mean', torch.zeros(count))
        self.register_buffer('view_std', torch.ones(count))
        self.register_buffer('view_threshold', torch.zeros(count))
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
        return any(
            view.needs_classes or view.region_weight for view in self.views
        )

    @property
    def first_density(self) -> int | None:
        """Number of the first view with a Gaussian per class."""
        for index, view in enumerate(self.views):
            density = getattr(view, 'density', None)
            if density is not None and (
                density.num_classes == self.num_classes
            ):
                return index
        return None

    @property
    def plain(self) -> bool:
        """Whether the score is that of a single view, as it is."""
        return len(self.views) == 1 and self.views[0].plain

    @property
    def unit(self) -> str:
        """Unit of the epistemic score."""
        in_nats = self.plain and not self.needs_classes
        return 'nats' if in_nats else 'standard deviations'

    def reset(self) -> None:
        """Forget the fit: the features are about to change."""
        self.fitted.fill_(False)
        self.temperature.fill_(1)

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
            Tensor: (B, 1, h, w), higher is more uncertain. Always finite;
            ``WORST`` (1e30) where a feature or logit is not.

        Raises:
            NotFittedError: Before the fit.
        """
        self.require_fitted()
        images = zip(*(value.split(1) for value in features.values()))
        return torch.cat(
            [self._score_image(dict(zip(features, one))) for one in images]
        )

    def _score_image(self, features: dict[str, Tensor]) -> Tensor:
        output = tuple(features[self.taps[0]].shape[2:])
        groups: dict[tuple, ClassGroups] = {}
        scores = []
        for view in self.views:
            feature = features[view.tap]
            score = view(feature, self._groups(view, features, groups))
            if score.shape[2:] not in (output, (1, 1)):
                score = resize_scores(score, output)
            scores.append(score)
        if not any(view.region_weight for view in self.views):
            return self.combine(scores).expand(-1, -1, *output)
        regions = classes_on_grid(features[PREDICTED], output)
        flat = [score.expand(-1, -1, *output).flatten() for score in scores]
        return self.combine(flat, regions.flatten()).reshape(regions.shape)

    def _groups(
        self, view: nn.Module, features: dict[str, Tensor], known: dict
    ) -> ClassGroups | None:
        """Predicted classes on the grid that a view is scored on."""
        if not view.needs_classes:
            return None
        grid = tuple(view.thinned(features[view.tap]).shape[2:])
        if grid not in known:
            predicted = classes_on_grid(features[PREDICTED], grid)
            known[grid] = ClassGroups(predicted.flatten(), self.num_classes)
        return known[grid]

    def combine(
        self,
        scores: Sequence[Tensor],
        regions: Tensor | None = None,
        average: Callable[[Tensor, Tensor], Tensor] = region_means,
    ) -> Tensor:
        """One score from those of each view.

        Args:
            scores (Sequence[Tensor]): All of one shape, or broadcastable;
                (N,) each if there are regions.
            regions (Tensor, optional): (N,) integers, the region of each
                pixel, for views with a ``region_weight``.
            average (Callable): The means of values over regions.
        """
        if self.plain:
            return scores[0]
        pixel = region = 0
        lost = torch.zeros((), dtype=torch.bool, device=scores[0].device)
        for index, (view, score) in enumerate(zip(self.views, scores)):
            lost = lost | is_lost(score)
            score = standardized(
                score, self.view_mean[index], self.view_std[index]
            )
            if view.excess is not None:
                score = (score - self.view_threshold[index]).clamp_min(0)
            if view.weight:
                pixel = pixel + view.weight * score
            if view.region_weight:
                region = region + view.region_weight * score
        if isinstance(region, Tensor):
            pixel = pixel + average(region.masked_fill(lost, WORST), regions)
        return pixel.clamp(-WORST, WORST).masked_fill(lost, WORST)

    def percentile(self, scores: Tensor) -> Tensor:
        """Share of training pixels with a lower score, in [0, 1].

        0 is as ordinary as training pixels get, 1 is beyond all of them.
        """
        self.require_fitted()
        return percentile(scores, self.score_quantiles)

    @torch.no_grad()
    def calibrate(
        self,
        vectors: Sequence[Tensor],
        predicted: Tensor | None = None,
        fields: Tensor | None = None,
    ) -> tuple[dict, Tensor]:
        """Store the spread of each view and the quantiles of the score.

        Pixels that are not finite in every view do not count.

        Args:
            vectors (Sequence[Tensor]): For each view, the transformed
                features (N, D') of the same N training pixels.
            predicted (Tensor, optional): (N,) their predicted classes.
            fields (Tensor, optional): (N,) number of the image (or window)
                that each comes from; one image by default.

        Returns:
            tuple[dict, Tensor]: Mean and spread per view and some quantiles;
            and the scores, (N,).

        Raises:
            ValueError: If no pixel is finite.
        """
        device = self.score_quantiles.device
        predicted = predicted if predicted is None else predicted.to(device)
        vectors = [vector.to(device) for vector in vectors]
        finite = finite_pixels(vectors)
        scores = calibrated_scores(self, vectors, predicted, finite)
        regions = None
        if predicted is not None:
            if fields is None:
                fields = torch.zeros_like(predicted)
            key = fields.to(device) * self.num_classes + predicted
            regions = key.unique(return_inverse=True)[1]
        combined = self.combine(scores, regions)
        table = quantile_table(combined[finite], NUM_QUANTILES)
        self.score_quantiles.copy_(table)
        shown = {
            f'q{round(100 * level)}': float(table[int(level * 1000)])
            for level in (0.0, 0.05, 0.5, 0.95, 1.0)
        }
        report = dict(
            pixels=int(finite.sum()),
            nonfinite=int((~finite).sum()),
            view_mean=self.view_mean.tolist(),
            view_std=self.view_std.tolist(),
            quantiles=shown,
        )
        return report, combined

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing, *rest
    ) -> None:
        """Refuse a state that does not fit instead of logging it.

        mmengine loads non-strictly and only logs a missing or misshapen key,
        which would leave densities that are half somebody else's. States
        of older formats are brought up to date.
        """
        if any(key.startswith(prefix) for key in state_dict):
            migrate(state_dict, prefix)
            given = {
                key.removeprefix(prefix): value
                for key, value in state_dict.items()
                if key.startswith(prefix)
            }
            check_state(self.state_dict(), given)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, *rest
        )
