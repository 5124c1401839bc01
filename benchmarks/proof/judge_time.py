"""Milliseconds that a prediction with a score takes."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import interleaved
from benchmarks.proof.judge_scores import Fitted, fitted_network
from benchmarks.proof.networks import Network
from benchmarks.proof.pixel_scores import (
    CONSTANT,
    JOINT,
    OF_FEATURES,
    OF_PEERS,
    PAPER,
    other_scores,
)
from benchmarks.proof.training_statistics import TrainingStatistics
from mmseg_ddu.core.scores import energy, max_logit
from mmseg_ddu.core.taps import FeatureTap
from mmseg_ddu.engine.build import build_ddu
from mmseg_ddu.engine.fitting_data import as_batch, seeded_order
from mmseg_ddu.models.convert import to_plain_model
from mmseg_ddu.models.gda_head import PENULTIMATE
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.models.tapped_modules import LOGITS, tap_place
from mmseg_ddu.registry import DATASETS

IMAGES, ROUNDS = 5, 3
PLAIN = 'random'  # a prediction without a score


def judge_time(network: Network, seed: int, args) -> dict[str, float]:
    """Row to milliseconds of processor time for a test image, all included.

    The median of three rounds, in which every row has its turn. The three
    maps and the novelty come together, so they have the same time.
    """
    fitted = fitted_network(network, seed, args)
    dataset = DATASETS.build(
        copy.deepcopy(fitted.model.cfg.test_dataloader.dataset)
    )
    dataset.full_init()
    chosen = seeded_order(len(dataset), seed)[:IMAGES]
    batches = [as_batch(dataset[image]) for image in chosen]
    functions = {
        row: over(batches, function)
        for row, function in predictions(fitted).items()
    }
    seconds = interleaved(functions, ROUNDS, torch.device('cpu'))
    times = {
        row: 1000 * statistics.median(values) / len(batches)
        for row, values in seconds.items()
    }
    ours = times.pop('ours')
    rows = dict.fromkeys((*MAPS, CONSTANT), ours)
    for name in fitted.peers:
        time = times.pop(name)
        rows.update({name + JOINT + row: time for row in OF_PEERS.values()})
    return {**rows, **times}


def over(batches: list, function: Callable) -> Callable[[], None]:
    """The function of every batch, one after the other."""

    @torch.no_grad()
    def run() -> None:
        for batch in batches:
            function(copy.deepcopy(batch))

    return run


def predictions(fitted: Fitted) -> dict[str, Callable]:
    """Row, ``ours`` or the name of a peer to what predicts a batch."""
    model = fitted.model
    config = to_plain_model(model.cfg.model)
    plain = build_ddu(config, model.state_dict(), 'the fit', 'cpu')
    functions = {
        PLAIN: plain.test_step,
        'ours': with_head(model, model.gda_head).test_step,
        PAPER: with_head(model, model.extra_heads['paper']).test_step,
        **{name: peer.test_step for name, peer in fitted.peers.items()},
    }
    for row, score in (('energy', energy), ('max logit', max_logit)):
        functions[row] = of_logits(plain, score)
    for row in OF_FEATURES:
        functions[row] = of_features(plain, fitted.statistics, row)
    return functions


def with_head(model: nn.Module, head: nn.Module) -> nn.Module:
    """The model with one density head, and no other."""
    alone = copy.copy(model)
    alone._modules = dict(model._modules)
    alone.gda_head, alone.extra_heads = head, nn.ModuleDict()
    return alone


def of_logits(plain: nn.Module, score: Callable) -> Callable:
    """A score of the logits at full resolution."""

    def predict(batch: dict):
        sample = plain.test_step(batch)[0]
        return score(sample.seg_logits.data[None])

    return predict


def of_features(
    plain: nn.Module, statistics: TrainingStatistics, row: str
) -> Callable:
    """A score of features and logits, on every second cell."""
    names = (PENULTIMATE, LOGITS)

    def predict(batch: dict):
        places = {name: tap_place(plain, name) for name in names}
        with FeatureTap(places) as tap:
            sample = plain.test_step(batch)[0]
        size = sample.pred_sem_seg.data.shape[1:]
        features = [tap[name] for name in names]
        return other_scores(statistics, *features, size, plain, (row,))

    return predict
