"""Are unknown objects found as objects? Component F1* of every score."""

from __future__ import annotations

import copy

import torch
from rich.progress import track

from benchmarks.proof.judge_scores import Fitted, fitted_network
from benchmarks.proof.judged_pixels import sets_of_unknown
from benchmarks.proof.networks import Network
from benchmarks.proof.pixel_scores import (
    JOINT,
    OF_PEERS,
    mask_values,
    score_image,
)
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.fitting_data import as_batch, seeded_order
from mmseg_ddu.evaluation import ComponentMetric
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.registry import DATASETS

# Those of the obstacle track of SegmentMeIfYouCan: our images are small.
SIZES = dict(min_predicted=50, min_truth=10)


def judge_components(network: Network, seed: int, args) -> dict:
    """Set of unknown objects to row to figures, whole images, one seed."""
    fitted = fitted_network(network, seed, args)
    test = fitted.model.cfg.test_dataloader.dataset
    sets = sets_of_unknown(network, test, args.data)
    return {
        name: components_of(fitted, data, values, seed, args.images)
        for name, (data, values) in sets.items()
    }


@torch.no_grad()
def components_of(
    fitted: Fitted,
    config: dict,
    unknown: tuple[int, ...],
    seed: int,
    number: int,
) -> dict[str, dict[str, float]]:
    """Row to F1*, sIoU, PPV and threshold over a data set."""
    dataset = DATASETS.build(copy.deepcopy(config))
    dataset.full_init()
    metrics: dict[str, ComponentMetric] = {}
    images = seeded_order(len(dataset), seed)[:number]
    for image in track(images, 'Components'):
        item = dataset[image]
        sample, rows = score_image(fitted.model, item, fitted.statistics)
        rows.update(peer_rows(fitted, item, seed + image))
        void = last_decode_head(fitted.model).ignore_index
        ood = sample.gt_sem_seg.data[0].eq(void).long() * VOID
        values = mask_values(sample, ood.shape)
        ood[torch.isin(values, torch.tensor(unknown))] = 1
        for row, scores in rows.items():
            metric = metrics.setdefault(row, ComponentMetric(**SIZES))
            metric.scores = [row]
            metric.count(
                {row: dict(data=scores[0]), 'gt_ood_map': dict(data=ood[None])}
            )
    return {
        row: figures
        for row, metric in metrics.items()
        for figures in metric.compute_metrics({}).values()
    }


def peer_rows(fitted: Fitted, item: dict, seed: int) -> dict:
    """Maps of the sampling methods, (1, 1, H, W) each."""
    rows = {}
    for name, peer in fitted.peers.items():
        torch.manual_seed(seed)
        sample = peer.test_step(as_batch(item))[0]
        for field, score in OF_PEERS.items():
            rows[name + JOINT + score] = sample.get(f'pred_{field}').data[None]
    return rows
