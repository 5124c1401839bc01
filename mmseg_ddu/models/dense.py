"""A segmentor with both uncertainties as one graph of tensor operations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmseg_ddu.core.bounds import resize_scores, standardized
from mmseg_ddu.core.dense import (
    dense_inverse_norms,
    dense_log_probs,
    dense_region_means,
    nearest_classes,
    present_classes,
)
from mmseg_ddu.core.scores import entropy, log_probabilities
from mmseg_ddu.core.transforms import (
    flatten_pixels,
    unflatten_pixels,
)

from .ddu_segmentor import DDUMixin
from .gda_head import GDAHead
from .heads import last_decode_head
from .maps import concatenate_maps
from .posterior_view import PosteriorView
from .presets import PREDICTED
from .special_views import EntropyView, StyleView, style_distance
from .views import View


class DenseScorer(nn.Module):
    """The score of a fitted density head, without looking at the data.

    Equals :class:`GDAHead` up to rounding, on feature grids of at least
    ``stride`` pixels along each side. What the fit decided (the classes that
    were seen) is constant from here on.

    Args:
        head (GDAHead): Fitted.

    Raises:
        NotFittedError: Before the fit.
    """

    def __init__(self, head: GDAHead) -> None:
        super().__init__()
        head.require_fitted()
        self.head = head
        densities = [getattr(view, 'density', None) for view in head.views]
        self.present = [d and present_classes(d) for d in densities]
        self.peaks = [
            float(view.peak()) if isinstance(view, StyleView) else None
            for view in head.views
        ]

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Epistemic score, as ``GDAHead.forward``: (B, 1, h, w)."""
        head = self.head
        first = features[head.taps[0]]
        size = first.shape[2:]
        scores = []
        for index, view in enumerate(head.views):
            score = self._score(index, view, features)
            if isinstance(view, StyleView):
                score = score.expand(-1, -1, *size)
            elif view.tap != head.taps[0] or view.stride > 1:
                score = resize_scores(score, size)
            scores.append(score)
        if not any(view.region_weight for view in head.views):
            return head.combine(scores)
        regions = nearest_classes(features[PREDICTED], size)
        return head.combine(
            scores,
            regions,
            lambda values, where: dense_region_means(
                values, where, head.num_classes
            ),
        )

    def _score(
        self, index: int, view: View, features: dict[str, Tensor]
    ) -> Tensor:
        """Score of one view on the grid of its tap, (B, 1, h', w')."""
        feature = features[view.tap]
        if isinstance(view, StyleView):
            vectors = view.statistic.function(feature)
            log_probs = self._mixture(index, view, vectors)
            score = style_distance(log_probs, self.peaks[index])
            return score[:, None, None, None]
        entropies = isinstance(view, EntropyView)
        if entropies:
            feature = view.averaged(entropy(log_probabilities(feature)))
        step = view.stride
        feature = feature[:, :, step // 2 :: step, step // 2 :: step]
        if entropies:
            labels = nearest_classes(features[PREDICTED], feature.shape[2:])
            return view.beyond_floor(feature, labels)
        vectors, scale = flatten_pixels(feature).float(), None
        if isinstance(view, PosteriorView):
            labels = nearest_classes(features[PREDICTED], feature.shape[2:])
            posterior = view.density.linear_posterior(
                vectors, *view.density.linear_rule()
            )
            score = view.counted(posterior, labels.flatten())
            return unflatten_pixels(score, feature)
        if view.transform == 'direction':
            scale = dense_inverse_norms(vectors)
        elif view.transform == 'log_norm':
            vectors = -dense_inverse_norms(vectors).log()[:, None]
        if not view.standardize:
            score = -self._mixture(index, view, vectors, scale)
            return unflatten_pixels(score, feature)
        labels = nearest_classes(features[PREDICTED], feature.shape[2:])
        joint, _ = dense_log_probs(
            view.density, vectors, self.present[index], scale
        )
        flat = labels.flatten()
        score = -joint.gather(0, flat[None])[0]
        score = standardized(
            score, view.class_mean[flat], view.class_std[flat]
        )
        return unflatten_pixels(score, feature)

    def _mixture(
        self,
        index: int,
        view: View,
        vectors: Tensor,
        scale: Tensor | None = None,
    ) -> Tensor:
        present = self.present[index]
        return dense_log_probs(view.density, vectors, present, scale)[1]


class DenseSegmentor(nn.Module):
    """A fitted segmentor from raw image to class and both maps.

    One graph without hooks on the outside, data-dependent steps or blocks,
    for ``torch.onnx.export``, ``torch.jit.trace`` and ``torch.compile``. The
    whole image is one window, at its own size. Height and width may change
    from call to call.

    Args:
        segmentor (nn.Module): With fitted densities, in eval mode.

    Raises:
        TypeError: If it has no density head.
        ValueError: If its test mode is ``slide``.
        NotFittedError: Before the fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        if not isinstance(segmentor, DDUMixin):
            raise TypeError(
                'Expected a model with a density head, but got '
                f'{type(segmentor).__name__}; the sampling baselines and '
                'augmented models are not one graph.'
            )
        mode = segmentor.test_cfg.get('mode', 'whole')
        if mode != 'whole':
            raise ValueError(
                f'The test mode of this config is {mode!r}, and windows are '
                'not part of a graph. Set model.test_cfg.mode=whole (with '
                'cfg_options), and cut large images into windows outside.'
            )
        self.segmentor = segmentor
        self.scorer = DenseScorer(segmentor.gda_head)
        preprocessor = segmentor.data_preprocessor
        normal = getattr(preprocessor, '_enable_normalize', False)
        self.register_buffer('mean', torch.zeros(3, 1, 1))
        self.register_buffer('std', torch.ones(3, 1, 1))
        if normal:
            self.mean.copy_(preprocessor.mean)
            self.std.copy_(preprocessor.std)
        self.flip = any(  # mmseg 1.2 and later forks name it differently
            getattr(preprocessor, name, False)
            for name in ('channel_conversion', '_channel_conversion')
        )
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict images of one size.

        Args:
            image (Tensor): (B, 3, H, W) float32, BGR, 0 to 255.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Class (int64), epistemic and
            aleatoric score (float32), each (B, 1, H, W).
        """
        inputs = image.flip(1) if self.flip else image
        inputs = (inputs - self.mean) / self.std
        segmentor = self.segmentor
        meta = dict(img_shape=inputs.shape[2:])
        with segmentor.tap() as tap:
            logits = super(DDUMixin, segmentor).encode_decode(
                inputs, [meta] * len(inputs)
            )
        scores = self.scorer(segmentor.features(tap))
        everything = concatenate_maps(logits, scores, segmentor.align_corners)
        logits, epistemic = everything[:, :-1], everything[:, -1:]
        logits = logits / segmentor.gda_head.temperature
        top = math.log(max(2, logits.shape[1]))
        aleatoric = entropy(log_probabilities(logits)).nan_to_num(nan=top)
        if logits.shape[1] > 1:
            classes = logits.argmax(1, keepdim=True)
        else:
            threshold = last_decode_head(segmentor).threshold
            classes = (logits.sigmoid() > threshold).long()
        return classes, epistemic, aleatoric
