"""Segmentors that return all maps from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from mmseg.models import CascadeEncoderDecoder, EncoderDecoder
from torch import Tensor, nn

from mmseg_ddu.core.bounds import lost_to_infinity, make_visible
from mmseg_ddu.core.errors import require
from mmseg_ddu.core.surprise import Surprise, to_percentile, total_surprise
from mmseg_ddu.core.taps import FeatureTap
from mmseg_ddu.registry import MODELS

from .abstention import REFUSED, Abstention
from .fitted_state import check_state
from .gda_head import PENULTIMATE, GDAHead
from .heads import classifying_head, count_classes
from .image_novelty import ImageNovelty
from .map_calibration import MapCalibration
from .map_names import PERCENTILE
from .tapped_modules import LOGITS, find_channels, image_channels, tap_place
from .uncertainty_maps import UncertaintyMapsMixin, Window, concatenate_maps


class DDUMixin(UncertaintyMapsMixin):
    """Adds a density head beside an unchanged decode head.

    The feature is what goes into the classifier ``conv_seg`` of the (last)
    decode head (see :func:`~mmseg_ddu.models.heads.classifying_head`),
    taken while one prediction runs. ``pred_epistemic`` is the score of the
    density head, ``pred_aleatoric`` the softmax entropy, ``pred_total`` both
    as surprises (:func:`~mmseg_ddu.core.surprise.total_surprise`), each with
    its percentile; ``image_novelty`` and its percentile are in the metainfo,
    as tensors without dimensions; ``pred_abstain`` if it has thresholds. A
    pixel is of an added class where that is likelier under the main density
    than each trained class; its logits stay those of the network.
    Validation during training, when there is no density yet, gives
    ``pred_aleatoric`` alone; everything else raises ``NotFittedError``.

    Args:
        gda_head (dict): Config of :class:`GDAHead`; ``num_classes`` and
            ``channels`` follow from the network.
        extra_heads (dict[str, dict]): Further density heads by name, each
            with a map ``pred_epistemic_NAME``.

    Raises:
        TypeError: If no decode head classifies pixels with ``cls_seg``.
    """

    def __init__(
        self,
        *args,
        gda_head: dict | None = None,
        extra_heads: Mapping[str, dict] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.gda_head = self._build_head(gda_head or {})
        self.extra_heads = nn.ModuleDict(
            {
                str(name): self._build_head(config)
                for name, config in (extra_heads or {}).items()
            }
        )
        self.map_calibration = MapCalibration()
        self.image_novelty = ImageNovelty(image_channels(self))
        self.abstention = Abstention(self.gda_head.predicted_classes)
        self.scaled = False  # whether there is a temperature
        self._tolerate_unfitted = False

    def _build_head(self, config: dict) -> nn.Module:
        config = dict(config)
        config.setdefault('type', 'mmseg_ddu.GDAHead')
        config['num_classes'] = count_classes(self)
        tap = config.get('tap', PENULTIMATE)
        if config.get('channels') is None:
            predict = super().encode_decode
            config['channels'] = find_channels(self, tap, predict)
        return MODELS.build(config)

    @property
    def heads(self) -> dict[str, GDAHead]:
        """Name of the map without ``pred_`` to its density head."""
        extra = self.extra_heads.items()
        named = {f'epistemic_{name}': head for name, head in extra}
        return dict(epistemic=self.gda_head, **named)

    @property
    def num_maps(self) -> int:
        expected = self.gda_head.ready or not self._tolerate_unfitted
        total = len(self.heads) + len(self.gda_head.added)
        return total if expected else 0

    # Features

    def tap(self, classes: bool = False) -> FeatureTap:
        """A tap on every feature of the density heads, logits on request."""
        names = [head.tap for head in self.heads.values()]
        if classes:
            names.append(LOGITS)
        return FeatureTap({name: tap_place(self, name) for name in names})

    def features(self, tap: FeatureTap) -> dict[str, Tensor]:
        """The tapped features, each (B, D, h, w)."""
        try:
            return {name: tap[name] for name in tap.names}
        except KeyError as error:
            head = type(classifying_head(self)).__name__
            raise TypeError(
                f'{head} made its prediction without calling the tapped '
                f'module ({error.args[0]}), so there is no feature to fit a '
                'density on. Use a decode head that ends in cls_seg, or '
                'another tap.'
            ) from error

    @torch.no_grad()
    def iter_features(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Iterator[tuple[Window, dict[str, Tensor], Tensor]]:
        """Features of (B, 3, H, W) inputs exactly as prediction sees them.

        Yields:
            tuple: ``(y1, y2, x1, x2)``, the window of the image (all of it
            in whole mode), tap name to (B, D, h, w), with the logits as the
            head gives them, and the logits of the window, (B, C, H', W').
        """
        metas = [dict(meta) for meta in batch_img_metas]
        for window, crop in self.crops(inputs, metas):
            with self.tap(classes=True) as tap:
                logits = super().encode_decode(crop, metas)
            yield window, self.features(tap), logits

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """That of the network; training forgets what was fitted to it."""
        if self.training:
            for head in self.heads.values():
                if head.ready:
                    head.set_fitted(False)
            self.abstention.ready = False
        return super().loss(inputs, data_samples)

    # Prediction

    def predict(self, inputs: Tensor, data_samples=None):
        if self.num_maps == 0:
            return super().predict(inputs, data_samples)
        for head in self.heads.values():
            head.require_fitted()
        samples = super().predict(inputs, data_samples)
        self.image_novelty.describe(inputs, samples)
        return samples

    def val_step(self, data):
        """Validation tolerates a head that is not fitted yet."""
        self._tolerate_unfitted = True
        try:
            return super().val_step(data)
        finally:
            self._tolerate_unfitted = False

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Logits and epistemic scores, (B, C + M, H, W)."""
        if self.num_maps == 0:
            return super().encode_decode(inputs, batch_img_metas)
        with self.tap() as tap:
            return self.encode_with(tap, inputs, batch_img_metas)

    def encode_with(
        self, tap: FeatureTap, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """The same by way of a tap that is open already."""
        logits = super().encode_decode(inputs, batch_img_metas)
        return self.with_scores(logits, self.features(tap))

    def with_scores(self, logits: Tensor, features: dict) -> Tensor:
        """Logits of a window and the scores of its features behind them."""
        maps = [head(features[head.tap]) for head in self.heads.values()]
        if self.gda_head.added:
            maps.append(self.gda_head.margins(features[self.gda_head.tap]))
        for each in maps:
            logits = concatenate_maps(logits, each, self.align_corners)
        return logits

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits over the temperature of the fit, if there is one."""
        if not self.scaled:
            return logits
        return logits / self.map_calibration.temperature

    def split_maps(self, entropies: Tensor, maps: Tensor) -> dict[str, Tensor]:
        if self.num_maps == 0:
            return dict(pred_aleatoric=entropies)
        maps = maps[:, : len(self.heads)]
        tables = self.surprises
        maps = lost_to_infinity(maps).split(1, 1)
        values = dict(zip(tables, [entropies, *maps]))
        surprises = {
            name: tables[name].look_up(value) for name, value in values.items()
        }
        values['total'] = total_surprise(
            surprises['aleatoric'], surprises['epistemic']
        )
        surprises['total'] = tables['total'].look_up(values['total'])
        shares = to_percentile(torch.stack(list(surprises.values())))
        fields = {}
        for (name, value), share in zip(values.items(), shares.unbind()):
            if name != 'aleatoric':  # an entropy is never lost
                value = make_visible(value)
            fields[f'pred_{name}'] = value
            fields[f'pred_{name}{PERCENTILE}'] = share
        return fields

    def fields(self, everything: Tensor) -> dict[str, Tensor]:
        fields = super().fields(everything)
        if self.gda_head.added and self.num_maps:
            fields['pred_sem_seg'] = self.gda_head.with_added(
                fields['pred_sem_seg'], everything
            )
        if self.abstention.ready and self.num_maps:
            both = fields['pred_total'], fields['pred_sem_seg']
            fields[REFUSED] = self.abstention(*both)
        return fields

    # What the fit says of the maps

    @property
    def surprises(self) -> dict[str, Surprise]:
        """Name of a map without ``pred_`` to how rare its values are."""
        return dict(
            aleatoric=self.map_calibration.aleatoric,
            **{name: head.surprise for name, head in self.heads.items()},
            total=self.map_calibration.total,
        )

    def _surprise(self, name: str) -> Surprise:
        maps = self.surprises
        require(name in maps, f'a map of {sorted(maps)}', name)
        return maps[name]

    def percentile(self, name: str, values: Tensor) -> Tensor:
        """Share of held-out training pixels with a lower value, in [0, 1].

        Args:
            name (str): ``aleatoric``, ``epistemic``, ``total`` or that of an
                extra head.
            values (Tensor): Of that map, any shape.
        """
        self.gda_head.require_fitted()
        return self._surprise(name).percentile(values)

    def map_range(self, name: str) -> tuple[float, float]:
        """Lowest value of a map in training, and one beyond nearly all."""
        low, high = self._surprise(name).range()
        if name == 'aleatoric':
            return 0.0, high
        return low, high + (high - low)

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        """Refuse a state that does not fit instead of logging it."""
        given = {
            key.removeprefix(prefix): value
            for key, value in state_dict.items()
            if key.startswith(prefix)
        }
        check_state(self.state_dict(), given)
        super()._load_from_state_dict(state_dict, prefix, *rest)
        temperature = given.get('map_calibration.temperature')
        if temperature is not None:
            self.scaled = bool(temperature != 1)


@MODELS.register_module()
class DDUEncoderDecoder(DDUMixin, EncoderDecoder):
    """mmseg's EncoderDecoder with a density head."""


@MODELS.register_module()
class DDUCascadeEncoderDecoder(DDUMixin, CascadeEncoderDecoder):
    """mmseg's CascadeEncoderDecoder; the last head's features count."""
