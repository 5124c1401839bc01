"""Training and testing through mmengine's Runner."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_ddu.engine.build import read_config, require_settings
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.ranks import join
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.registry import bare_type


def load_config(
    config: str | os.PathLike | Config,
    cfg_options: dict | None = None,
    work_dir: str | os.PathLike | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config as mmseg's tools do.

    The work dir is the argument, else the config's, else
    ``./work_dirs/<config name>``.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    config = read_config(config, cfg_options)
    config.launcher = launcher
    if work_dir is not None:
        config.work_dir = str(work_dir)
    elif config.get('work_dir') is None:
        name = Path(config.filename or 'config').stem
        config.work_dir = str(Path('work_dirs') / name)
    return config


def build_runner(cfg: Config) -> Runner:
    """The config's runner, mmengine's if it names none."""
    launcher = cfg.get('launcher', 'none')
    if launcher != 'none' and not torch.cuda.is_available():
        # What mmengine does by itself needs a GPU for each process.
        join(launcher)
        wrapper = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
        cfg.setdefault('model_wrapper_cfg', wrapper)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


@safe_loading()
def train(
    config: str | os.PathLike | Config,
    *,
    work_dir: str | os.PathLike | None = None,
    resume: bool = False,
    amp: bool = False,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Runner:
    """Train a config; see ``tools/train.py --help``.

    Returns:
        Runner: After training.

    Raises:
        ValueError: If ``amp`` is asked for another optimizer wrapper.
    """
    cfg = load_config(config, cfg_options, work_dir, launcher)
    require_settings(cfg, 'train_dataloader')
    if amp:
        kind = bare_type(cfg.optim_wrapper) or 'OptimWrapper'
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ValueError(
                'Expected optim_wrapper of type OptimWrapper for mixed '
                f'precision, but got {kind}.'
            )
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    cfg.resume = resume
    runner = build_runner(cfg)
    loaders = cfg.train_dataloader, cfg.get('val_dataloader')
    with naming_empty_folders(*[d.dataset for d in loaders if d]):
        runner.train()
    return runner
