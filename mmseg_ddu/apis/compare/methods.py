"""From methods to models that give their predictions and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.subgrid import resize_subgrid
from mmseg_ddu.engine.build import (
    build_ddu,
    build_ensemble,
    check_classes,
    model_of_checkpoint,
)
from mmseg_ddu.engine.checkpoint import (
    FIT_PREFIXES,
    read_checkpoint,
    weights_digest,
)
from mmseg_ddu.models.convert import to_mc_dropout_model, to_plain_model
from mmseg_ddu.models.heads import last_decode_head

from .shared import SharedDropout, SharedPass
from .specs import DDU, ENSEMBLE, FREE_SCORES, MC, Method


@dataclass
class Prediction:
    """What one method, or several with the same prediction, say of an image.

    Attributes:
        logits (Tensor): (C, H, W); C = 1 is the logit of a binary head.
        scores (dict[str, Tensor]): Row of the table to (H, W).
    """

    logits: Tensor
    scores: dict[str, Tensor]

    def classes(self, threshold: float = 0.5) -> Tensor:
        """Predicted classes, (H, W)."""
        if len(self.logits) > 1:
            return self.logits.argmax(0)
        return (self.logits[0].sigmoid() > threshold).long()


class Predictor:
    """A model and how its fields become predictions.

    Args:
        methods (Sequence[Method]): That can share a forward pass, see
            :func:`groups`.
        cfg (Config): The config the networks were trained with.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        dataset_meta (dict): Of the test data.

    Attributes:
        parts (list[list[str]]): Rows of each prediction that it gives.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        cfg: Config,
        device: str | None,
        dataset_meta: dict,
    ) -> None:
        self.methods = list(methods)
        self.dataset_meta = dataset_meta
        self.guests: list[nn.Module] = []
        kind = self.methods[0].kind
        rows = [list(method.rows) for method in self.methods]
        self.parts = rows if kind in (MC, ENSEMBLE) else [sum(rows, [])]
        if kind == MC:
            self.model = self._dropout(cfg, device)
        elif kind == ENSEMBLE:
            files = self.methods[0].checkpoints
            self.model = build_ensemble(cfg.model, files, device)
            for file in files:
                self._check(self.model, read_checkpoint(file)['meta'])
        else:
            self.model = self._single_pass(cfg, device)
        self.channels = last_decode_head(self.model).out_channels

    def _check(self, model: nn.Module, meta: dict) -> None:
        check_classes(model, self.dataset_meta, meta.get('dataset_meta'))

    def _dropout(self, cfg: Config, device: str | None) -> nn.Module:
        first = self.methods[0]
        places = {}
        if first.dropout_p is not None:
            places = dict(dropout_after='backbone', dropout_p=first.dropout_p)
        config = to_mc_dropout_model(cfg.model, **places)
        config['snapshots'] = [method.passes for method in self.methods]
        return self._build(dict(config, type=SharedDropout), device)

    def _single_pass(self, cfg: Config, device: str | None) -> nn.Module:
        config = to_plain_model(cfg.model)
        for method in self.methods:
            if method.kind != DDU:
                continue
            content = read_checkpoint(method.checkpoints[0])
            guest = build_ddu(
                model_of_checkpoint(config, content['meta']),
                content['state_dict'],
                str(method.checkpoints[0]),
                device,
            )
            guest.gda_head.require_fitted()
            self._check(guest, content['meta'])
            self.guests.append(guest)
        if not can_share(cfg):
            if self.guests:
                return self.guests[0]
            return self._build(config, device)
        model = self._build(dict(config, type=SharedPass), device)
        model.share(self.guests)
        return model

    def _build(self, config: dict, device: str | None) -> nn.Module:
        path = self.methods[0].checkpoints[0]
        content = read_checkpoint(path)
        weights = {
            key: value
            for key, value in content['state_dict'].items()
            if not key.startswith(FIT_PREFIXES)
        }
        model = build_ddu(config, weights, str(path), device)
        self._check(model, content['meta'])
        return model

    @torch.no_grad()
    def __call__(self, data: dict, stride: int = 1) -> list[Prediction]:
        """Predict a batch of one image.

        Args:
            data (dict): As a loader gives it.
            stride (int): Take every n-th pixel of the final maps in both
                directions.
        """
        fields = self._fields(data, stride)
        if self.methods[0].kind in (MC, ENSEMBLE):
            return [self._sampled(fields, m) for m in self.methods]
        return [self._single(fields)]

    def _fields(self, data: dict, stride: int) -> dict[str, Tensor]:
        """Logits and maps of the image, (C, H, W) each, thinned."""
        prepared = self.model.data_preprocessor(data, False)
        (meta,) = (sample.metainfo for sample in prepared['data_samples'])
        if stride == 1 or _moved(meta):
            return self._all_fields(data, stride)
        everything = self.model.inference(prepared['inputs'], [meta])
        (everything,) = resize_subgrid(
            everything, meta['ori_shape'], stride, self.model.align_corners
        )
        logits, maps = everything.split(
            [self.channels, len(everything) - self.channels]
        )
        fields = self.model.split_maps(logits, maps) if len(maps) else {}
        return dict(fields, seg_logits=logits)

    def _all_fields(self, data: dict, stride: int) -> dict[str, Tensor]:
        """The same by way of every pixel."""
        (sample,) = self.model.test_step(data)
        fields = {
            name: value.data[..., ::stride, ::stride]
            for name, value in sample.items()
            if hasattr(value, 'data')
        }
        if self.channels == 1:  # mmseg hands out probabilities
            fields['seg_logits'] = fields['seg_logits'].logit(eps=1e-7)
        return fields

    @staticmethod
    def _sampled(fields: dict[str, Tensor], method: Method) -> Prediction:
        suffix = f'_{method.passes}' if method.kind == MC else ''
        logits = fields[f'seg_logits{suffix}']
        scores = (
            fields[f'pred_epistemic{suffix}'][0],
            softmax_entropy(logits[None])[0, 0],
        )
        return Prediction(logits, dict(zip(method.rows, scores)))

    def _single(self, fields: dict[str, Tensor]) -> Prediction:
        logits, scores, number = fields['seg_logits'], {}, 0
        for method in self.methods:
            if method.kind == DDU:
                own = fields.get(f'pred_epistemic_{number}')
                own = fields['pred_epistemic'] if own is None else own
                scores[method.name], number = own[0], number + 1
            else:
                score = FREE_SCORES[method.name]
                scores[method.name] = score(logits[None])[0, 0]
        return Prediction(logits, scores)


def _moved(meta: dict) -> bool:
    """Whether padding or flips have to be undone behind the network."""
    padding = meta.get('img_padding_size', meta.get('padding_size', ()))
    return bool(meta.get('flip')) or any(padding)


def can_share(cfg: Config) -> bool:
    """Whether several methods can use one forward pass of this model."""
    kind = str(to_plain_model(cfg.model)['type'])
    return kind.removeprefix('mmseg.') == 'EncoderDecoder'


def groups(methods: Sequence[Method], cfg: Config) -> list[list[Method]]:
    """Methods that share their forward passes, together.

    Single-pass methods whose checkpoints hold the same network (densities
    aside) are one group; so are MC dropouts that differ in the number of
    passes alone.
    """
    found: dict[tuple, list[Method]] = {}
    for method in methods:
        found.setdefault(_key(method, cfg), []).append(method)
    return list(found.values())


def _key(method: Method, cfg: Config) -> tuple:
    alone = ('alone', method.name)
    if method.kind == ENSEMBLE:
        return alone
    if method.kind == DDU and not can_share(cfg):
        return alone
    try:
        digest = weights_digest(method.checkpoints[0], densities=False)
    except (OSError, ValueError):  # said when it is its turn
        return alone
    kind = MC if method.kind == MC else 'single pass'
    return kind, method.dropout_p, digest
