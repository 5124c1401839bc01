"""From configs and weights to models that are ready to use."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmseg_ddu.models.convert import (
    is_ddu,
    to_ddu_model,
    to_ensemble_model,
)
from mmseg_ddu.models.heads import count_classes
from mmseg_ddu.registry import MODELS, OWN_SCOPE, type_name

from .checkpoint import (
    load_weights,
    read_checkpoint,
    weights_digest,
    without_fit,
)
from .fit_meta import fitted_heads
from .safe_load import safe_loading

# What may be written for settings that are not there.
EXAMPLES = dict(
    train_dataloader="dict(batch_size=4, sampler=dict(type='InfiniteSampler'"
    ', shuffle=True), dataset=dict(…)), with the training images',
    test_dataloader='val_dataloader',
    test_evaluator='val_evaluator',
    test_cfg="dict(type='TestLoop')",
)


def read_config(
    config: str | os.PathLike | Config, cfg_options: dict | None = None
) -> Config:
    """A config from a file, or a copy of the one given, with overrides.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it cannot be read, or the settings do not fit it.
    """
    if isinstance(config, Config):
        config = copy.deepcopy(config)
    else:
        config = _config_of_file(config)
    if cfg_options:
        try:
            config.merge_from_dict(cfg_options)
        except (AttributeError, KeyError) as error:
            raise ValueError(
                f'The options {cfg_options} do not fit the config: {error}'
            ) from error
    if config.get('data_preprocessor') and 'model' in config:
        # Where mmengine's Runner takes it from, too.
        config.model.setdefault('data_preprocessor', config.data_preprocessor)
    return config


def require_settings(cfg: Config, *names: str) -> None:
    """Raise ValueError if settings are missing, and say what to write."""
    missing = [name for name in names if cfg.get(name) is None]
    if missing:
        lines = '; '.join(f'{name} = {EXAMPLES[name]}' for name in missing)
        raise ValueError(
            f'Expected the config to have {", ".join(names)}, but it has no '
            f'{", ".join(missing)}. Write, behind what is named: {lines}'
        )


def _config_of_file(path: str | os.PathLike) -> Config:
    if not Path(path).is_file():
        raise FileNotFoundError(f'There is no config {path}.')
    try:
        return Config.fromfile(path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # whatever the code in it may raise
        raise ValueError(
            f'{path} cannot be read as a config: {type(error).__name__}: '
            f'{error}'
        ) from error


def model_of_checkpoint(model: dict, meta: dict) -> dict:
    """The ``model`` of a config as the ``meta`` of a checkpoint needs it.

    A fitted checkpoint knows how its densities were made
    (``meta['gda']['head']``); that overrules the config, so that the
    config the network was trained with goes on working. Our sampling
    baselines stay what they are.

    Raises:
        ValueError: If what it says of its densities makes no sense.
    """
    if type_name(model).startswith(OWN_SCOPE) and not is_ddu(model):
        return model
    model = to_ddu_model(model)
    if 'gda' in meta:
        model.update(fitted_heads(meta['gda']))
    return model


@safe_loading()
def build_ddu(
    model_cfg: dict,
    state_dict: dict[str, Tensor],
    source: str,
    device: str | None = None,
) -> nn.Module:
    """Build a segmentor and load its weights, in eval mode.

    Args:
        model_cfg (dict): ``model`` of a config.
        state_dict (dict): Its weights; densities in them are used if they
            fit, and dropped if the config has no density head.
        source (str): Where they come from, for error messages.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
    """
    model = MODELS.build(dict(model_cfg, pretrained=None))
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = revert_sync_batchnorm(model)
    load_weights(model, state_dict, source)
    return model.to(device).eval()


def build_ensemble(
    model_cfg: dict,
    checkpoints: Sequence[str | os.PathLike],
    device: str | None = None,
    **options,
) -> nn.Module:
    """An ensemble of the networks in K checkpoints, in eval mode.

    Densities in the checkpoints are left out. To keep the ensemble as one
    file, save its ``state_dict()`` with ``save_checkpoint``.

    Args:
        model_cfg (dict): ``model`` of the config all were trained with.
        checkpoints (Sequence[str]): K files.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        options: Further arguments of ``EnsembleSegmentor``.

    Raises:
        ValueError: If a checkpoint belongs to another network, or two hold
            the same weights.
    """
    config = to_ensemble_model(
        dict(model_cfg, pretrained=None), len(checkpoints), **options
    )
    digests = [weights_digest(path, False) for path in checkpoints]
    for index, digest in enumerate(digests):
        if digest in digests[:index]:
            raise ValueError(
                f'{checkpoints[index]} holds the same weights as '
                f'{checkpoints[digests.index(digest)]}; an ensemble needs '
                'networks trained from other seeds.'
            )
    state: dict[str, Tensor] = {}
    for index, path in enumerate(checkpoints):
        weights = without_fit(read_checkpoint(path)['state_dict'])
        state.update({f'members.{index}.{k}': v for k, v in weights.items()})
    names = ', '.join(map(str, checkpoints))
    return build_ddu(config, state, names, device)


def check_classes(
    model: nn.Module, dataset_meta: dict, checkpoint_meta: dict | None
) -> None:
    """Raise ValueError unless data, model and checkpoint agree on classes."""
    classes = list(dataset_meta.get('classes') or [])
    # A binary network of num_classes=1 may name its ground or not.
    expected = {model.num_classes, count_classes(model)}
    if classes and len(classes) not in expected:
        raise ValueError(
            f'The data set has {len(classes)} classes ({classes[:6]}…), but '
            f'the model has {max(expected)}. Give the data set the '
            "model's classes with metainfo=dict(classes=…)."
        )
    trained = list((checkpoint_meta or {}).get('classes') or [])
    if classes and trained and trained != classes:
        raise ValueError(
            f'The checkpoint was trained on the classes {trained}, but the '
            f'data set has {classes}.'
        )
