"""Networks that are trained here, for MC dropout and an ensemble."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_ddu.apis import init_ddu
from mmseg_ddu.engine.build import build_ensemble, read_config
from mmseg_ddu.models.convert import to_mc_dropout_model

PASSES = 10


def member_configs(
    config: Path, backbone: Path, number: int, runs: Path
) -> dict[Path, Config]:
    """Folder of each seed 0, 1, … to what is trained in it.

    Args:
        config (Path): Reads ``MOBILENET_V2``.
        backbone (Path): Weights of the backbone.
        number (int): Of seeds.
        runs (Path): Where the folder ``members`` is, or will be.
    """
    os.environ['MOBILENET_V2'] = str(backbone.resolve())
    found = {}
    for seed in range(number):
        folder = runs / 'members' / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        found[folder] = read_config(config, {'randomness.seed': seed})
    return found


def sampling_methods(
    config: Path, member: Path, members: Sequence[Path]
) -> dict[str, nn.Module]:
    """MC dropout of one member, and the ensemble of all."""
    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dropout = read_config(config)
    dropout.model = to_mc_dropout_model(cfg.model, num_passes=PASSES)
    return {
        'MC dropout': init_ddu(dropout, member),
        'ensemble': build_ensemble(cfg.model, members),
    }
