"""Ambiguous pixels: the drawn sample has classes that look the same."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial

import torch

from benchmarks.proof.figures import error_figures, unknown_figures
from benchmarks.proof.judge_scores import fitted_network
from benchmarks.proof.judged_pixels import PIXELS, scoring
from benchmarks.proof.networks import Network
from benchmarks.proof.shared_work import share
from mmseg_ddu.datasets.sample import CLASSES, TWINS, make_sample

SAMPLE = Network(
    'configs/ddu/ddu_deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py',
    weights='',  # trained from nothing
    data=dict(DDU_SAMPLE='sample'),
    unknown=dict(
        twins=tuple(CLASSES.index(name) for name in TWINS),
        unseen=(255,),  # void there, and nothing else is
    ),
    members=3,
    images=60,
)


def judge_sample(network: Network, seed: int, args) -> dict:
    """Row to its AUROC for wrong pixels, twins and objects never seen.

    Wrong pixels are those of classes that can be told apart: a twin that is
    called by the name of the other is wrong by chance alone.
    """
    root = args.runs / 'sample'
    share({root: partial(make_sample, root)})
    here = argparse.Namespace(**{**vars(args), 'data': args.runs})
    model, statistics, peers = fitted_network(network, seed, here)
    score = scoring(model, seed, statistics=statistics, peers=peers)
    test = model.cfg.test_dataloader.dataset
    plain = score(test, number=args.images, pixels=PIXELS)
    twins = torch.isin(plain.values, torch.tensor(network.unknown['twins']))
    apart = replace(plain, labels=plain.labels.masked_fill(twins, plain.void))
    return {
        row: dict(
            errors=error_figures(apart, row)['errors'],
            **{
                name: unknown_figures(plain, row, values)['auroc']
                for name, values in network.unknown.items()
            },
        )
        for row in plain.scores
    }
