"""From methods to models that give their predictions and scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_ddu.engine.build import (
    build_ddu,
    build_ensemble,
    check_classes,
    model_of_checkpoint,
)
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.models.convert import to_mc_dropout_model, to_plain_model
from mmseg_ddu.models.map_names import NOVELTY

from .method_names import DDU, ENSEMBLE, FREE_SCORES, MC, Method


def group_methods(methods: Sequence[Method]) -> list[list[Method]]:
    """Methods that one forward pass serves: those of one checkpoint.

    Methods that sample are alone.
    """
    groups: dict[tuple, list[Method]] = {}
    for method in methods:
        sampled = method.kind in (MC, ENSEMBLE)
        key = (sampled and method.name, *method.checkpoints)
        groups.setdefault(key, []).append(method)
    return list(groups.values())


class Predictor:
    """The model of a group of methods, and their scores on its predictions.

    The classes of the test data have to be those of the checkpoints.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        cfg: Config,
        device: str | None,
        dataset_meta: dict,
    ) -> None:
        self.methods = methods
        self.rows = {k: v for m in methods for k, v in m.rows.items()}
        files = methods[0].checkpoints
        if methods[0].kind == ENSEMBLE:
            self.model = build_ensemble(cfg.model, files, device)
        else:
            self.model = self._single(cfg, device)
        for file in files:
            trained = read_checkpoint(file)['meta'].get('dataset_meta')
            check_classes(self.model, dataset_meta, trained)

    def _single(self, cfg: Config, device: str | None) -> nn.Module:
        """The model of one checkpoint."""
        first = self.methods[0]
        file = first.checkpoints[0]
        content = read_checkpoint(file)
        fitted = any(method.kind == DDU for method in self.methods)
        if first.kind == MC:
            options: dict = dict(num_passes=first.passes)
            if first.dropout_p is not None:
                options['dropout_after'] = 'backbone'
                options['dropout_p'] = first.dropout_p
            config = to_mc_dropout_model(cfg.model, **options)
        else:
            config = to_plain_model(cfg.model)
            if fitted:
                config = model_of_checkpoint(config, content['meta'])
        model = build_ddu(config, content['state_dict'], str(file), device)
        if fitted:
            model.gda_head.require_fitted()
        return model

    @torch.no_grad()
    def __call__(
        self, data: dict, stride: int = 1
    ) -> tuple[dict, dict[str, Tensor]]:
        """The sample of a batch of one image, as a dict, and row to score.

        Scores are (H, W), of every n-th pixel in both directions.
        """
        (sample,) = self.model.test_step(data)
        sample = sample.to_dict()
        logits = sample['seg_logits']['data'][..., ::stride, ::stride]
        if len(logits) == 1:  # mmseg hands out probabilities
            logits = logits.logit(eps=1e-7)
        scores = {}
        for row, score in self.rows.items():
            if score in FREE_SCORES:
                scores[row] = FREE_SCORES[score](logits[None])[0, 0]
            elif score == NOVELTY:
                novelty = float(sample[NOVELTY])
                scores[row] = torch.full_like(logits[0], novelty)
            else:
                values = sample[f'pred_{score}']['data'][0]
                scores[row] = values[::stride, ::stride]
        return sample, scores
