"""Segmentors that return both uncertainties from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine.structures import PixelData
from mmseg.models import CascadeEncoderDecoder, EncoderDecoder
from torch import Tensor

from mmseg_ddu.core.taps import FeatureTap
from mmseg_ddu.registry import MODELS

from .head_options import checked_views
from .heads import classifying_head, last_decode_head
from .maps import (
    UncertaintyMapsMixin,
    concatenate_maps,
    entropy_map,
    windows,
)
from .presets import DEFAULT, LOGITS, PENULTIMATE, PREDICTED
from .probe import known_channels, probe, tap_place


class DDUMixin(UncertaintyMapsMixin):
    """Adds a density head beside an unchanged decode head.

    The feature is what goes into the classifier ``conv_seg`` of the (last)
    decode head (see :func:`~mmseg_ddu.models.heads.classifying_head`),
    taken while one prediction runs. ``pred_epistemic`` is the
    score of the density head, ``pred_aleatoric`` the softmax entropy.
    Validation during training, when there is no density yet, gives
    ``pred_aleatoric`` alone; everything else raises ``NotFittedError``.

    Args:
        gda_head (dict): Config of :class:`GDAHead`; ``num_classes`` and
            ``channels`` follow from the decode head.

    Raises:
        TypeError: If no decode head classifies pixels with ``cls_seg``.
    """

    def __init__(self, *args, gda_head: dict | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        head = classifying_head(self)
        config = dict(gda_head or {})
        config.setdefault('type', 'mmseg_ddu.GDAHead')
        config['num_classes'] = self.num_classes
        config['channels'] = head.conv_seg.in_channels
        config['views'] = self._available(
            checked_views(config.get('views', DEFAULT))
        )
        self.gda_head = MODELS.build(config)
        self._tolerate_unfitted = False

    def _available(self, views: list[dict]) -> list[dict]:
        """Views with their channels; optional ones only if they have any."""
        for view in views:
            view.setdefault('tap', PENULTIMATE)
            if view.get('channels') is None:
                view['channels'] = known_channels(self, view['tap'])
        unknown = [view for view in views if view['channels'] is None]
        if unknown:
            taps = [view['tap'] for view in unknown]
            found = probe(self, taps, super().encode_decode)
            for view in unknown:
                channels = found[view['tap']]
                if isinstance(channels, int):
                    view['channels'] = channels
                elif not view.get('optional'):
                    raise ValueError(channels)
        return [view for view in views if view['channels'] is not None]

    @property
    def num_maps(self) -> int:
        return int(not self._tolerate_unfitted or bool(self.gda_head.fitted))

    def tap(self, classes: bool = False) -> FeatureTap:
        """A tap on every feature that the density head needs.

        Args:
            classes (bool): Tap logits and predicted classes even if the head
                can do without.
        """
        head = classifying_head(self)
        places = {}
        for name in self.gda_head.taps:
            places[name] = tap_place(self, name)
        if classes:
            places[LOGITS] = (head.conv_seg, 'output')
        if classes or self.gda_head.needs_classes:
            places[PREDICTED] = (head.conv_seg, 'output')
        return FeatureTap(places)

    def features(self, tap: FeatureTap) -> dict[str, Tensor]:
        """The tapped features, with the predicted classes."""
        try:
            features = {name: tap[name] for name in self.gda_head.taps}
            if LOGITS in tap:
                features[LOGITS] = tap[LOGITS]
            if PREDICTED in tap:
                features[PREDICTED] = self._classes(tap[PREDICTED])
        except KeyError as error:
            head = type(classifying_head(self)).__name__
            raise TypeError(
                f'{head} made its prediction without calling the tapped '
                f'module ({error.args[0]}), so there is no feature to fit a '
                'density on. Use a decode head that ends in cls_seg, or '
                'another tap.'
            ) from error
        return features

    def _classes(self, logits: Tensor) -> Tensor:
        """Predicted classes, (B, C, h, w) -> (B, 1, h, w)."""
        if logits.shape[1] > 1:
            return logits.argmax(1, keepdim=True)
        threshold = last_decode_head(self).threshold
        return (logits.sigmoid() > threshold).long()

    def predict(self, inputs: Tensor, data_samples=None):
        if self.num_maps:
            self.gda_head.require_fitted()
        return super().predict(inputs, data_samples)

    def val_step(self, data):
        """Validation tolerates a head that is not fitted yet."""
        self._tolerate_unfitted = True
        try:
            return super().val_step(data)
        finally:
            self._tolerate_unfitted = False

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Logits and epistemic score, (B, C + 1, H, W)."""
        if self.num_maps == 0:
            return super().encode_decode(inputs, batch_img_metas)
        with self.tap() as tap:
            logits = super().encode_decode(inputs, batch_img_metas)
        scores = self.gda_head(self.features(tap))
        return concatenate_maps(logits, scores, self.align_corners)

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits over the temperature of the fit, which is 1 by default."""
        temperature = self.gda_head.temperature
        return logits if temperature == 1 else logits / temperature

    def split_maps(self, logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
        return dict(pred_epistemic=maps, pred_aleatoric=entropy_map(logits))

    def postprocess_result(self, seg_logits: Tensor, data_samples=None):
        samples = super().postprocess_result(seg_logits, data_samples)
        if self.num_maps == 0:
            for sample in samples:
                _set_entropy(sample)
        return samples

    @torch.no_grad()
    def iter_features(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Iterator[tuple[tuple[int, int, int, int], dict[str, Tensor]]]:
        """Features exactly as prediction sees them.

        Args:
            inputs (Tensor): (B, 3, H, W), preprocessed.
            batch_img_metas (list[dict]): Their meta information.

        Yields:
            tuple: ``(y1, y2, x1, x2)``, the window of the image (all of it
            in whole mode), and tap name to (B, D, h, w), with the predicted
            classes.
        """
        metas = [dict(meta) for meta in batch_img_metas]
        for y1, y2, x1, x2 in windows(*inputs.shape[2:], self.test_cfg):
            crop = inputs[:, :, y1:y2, x1:x2]
            metas[0]['img_shape'] = crop.shape[2:]
            with self.tap(classes=True) as tap:
                super().encode_decode(crop, metas)
            yield (y1, y2, x1, x2), self.features(tap)


@MODELS.register_module()
class DDUEncoderDecoder(DDUMixin, EncoderDecoder):
    """mmseg's EncoderDecoder with a density head."""


@MODELS.register_module()
class DDUCascadeEncoderDecoder(DDUMixin, CascadeEncoderDecoder):
    """mmseg's CascadeEncoderDecoder; the last head's features count."""


def _set_entropy(sample) -> None:
    data = sample.seg_logits.data
    if data.shape[0] == 1:  # mmseg stores probabilities for binary heads
        data = data.logit()
    sample.set_data(dict(pred_aleatoric=PixelData(data=entropy_map(data))))
