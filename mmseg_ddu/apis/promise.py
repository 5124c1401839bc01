"""A threshold of the total uncertainty that keeps a promise."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmseg_ddu.core import risk_control as risk
from mmseg_ddu.core.metrics.abstained import AbstentionCounts
from mmseg_ddu.engine.checkpoint import (
    plain,
    read_checkpoint,
    save_checkpoint,
)
from mmseg_ddu.engine.fit_meta import test_mode, warn_of_other_mode
from mmseg_ddu.engine.fitting_data import bare_datasets, evaluation_pipeline
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import require_writable_file
from mmseg_ddu.models.abstention import PREFIX

from .error_counts import count_errors_of
from .inference import init_fitted
from .unseen_images import dataset_config

NOTHING = -1.0  # a threshold that keeps no pixel


@safe_loading()
def fit_abstention(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    error: float,
    *,
    confidence: float | None = None,
    per_class: bool = False,
    split: str = 'val',
    out: str | os.PathLike | None = None,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Find which pixels to refuse; see ``tools/fit_abstention.py --help``.

    What the images say is kept beside the file that is written
    (``<stem of the checkpoint>.<split>_errors.jsonl``), so that a run that
    was stopped goes on, and another ``error`` needs no prediction.

    Args:
        config, checkpoint: As for :func:`.init_ddu`, fitted.
        error (float): Most that the share of wrong pixels among those kept
            may be, in (0, 1).
        confidence (float, optional): Keep the promise for this share of
            calibration sets instead of on average over them; the images
            must be drawn independently.
        per_class (bool): One threshold and one promise for the pixels
            predicted as each class; a class that cannot keep it is
            refused, with a warning.
        split (str): Whose labelled images to use, ``val`` or ``test``: none
            of them seen in training.
        out (str, optional): The file to write; ``checkpoint`` itself by
            default, which gains a few numbers.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        dict: ``thresholds`` by class, ``coverage``, ``error_before``,
        ``error_kept`` and ``error_refused`` of the images used, and what was
        asked for; also in ``meta['abstention']`` of the file.

    Raises:
        ValueError: If no threshold keeps the promise, with the smallest that
            can be kept; if images were trained on, or have no labels; if
            the counts that are kept are damaged.
        BlockingIOError: If another process counts the same.
        NotFittedError: If there are no densities.
    """
    for name, value in dict(error=error, confidence=confidence).items():
        if value is not None and not 0 < value < 1:
            raise ValueError(
                f'Expected {name} to be in (0, 1), but got {value}.'
            )
    checkpoint = Path(checkpoint)
    out = Path(out) if out else checkpoint
    require_writable_file(out)
    model = init_fitted(config, checkpoint, device, cfg_options)
    data = next(bare_datasets(dataset_config(model, split)))
    steps = data.get('pipeline') or evaluation_pipeline(model.cfg)
    mode = test_mode(model.test_cfg, steps)
    warn_of_other_mode(
        dict(abstention=dict(test_mode=mode)),
        model.test_cfg,
        evaluation_pipeline(model.cfg),
    )
    images = count_errors_of(model, checkpoint, split, out.parent)
    chosen = choose_thresholds(model, images, error, confidence, per_class)
    report = dict(
        error=error,
        confidence=confidence,
        per_class=per_class,
        split=split,
        images=len(images),
        test_mode=mode,
        thresholds=chosen.tolist(),
        **what_is_kept(images, chosen),
    )
    content = read_checkpoint(checkpoint)
    state = {**content['state_dict'], f'{PREFIX}thresholds': chosen}
    meta = dict(content['meta'], abstention=plain(report))
    save_checkpoint(out, state, meta)
    return report


def choose_thresholds(
    model: nn.Module,
    images: list[Tensor],
    error: float,
    confidence: float | None,
    per_class: bool,
) -> Tensor:
    """Thresholds of the total by predicted class, (C,).

    Raises:
        ValueError: If no pixel could be kept, with the smallest error that
            can be promised.
    """
    levels = risk.thresholds()
    percentiles = model.percentile('total', levels)
    starts = [int((percentiles < share).sum()) for share in risk.STARTS]
    names = _class_names(model)
    chosen = torch.full((len(names),), NOTHING)
    refused: dict[str, float] = {}  # and the smallest error to promise
    for number, name in enumerate(names) if per_class else [(..., '')]:
        shares = risk.shares(images, number if per_class else None)
        level = risk.find_level(*shares, error, confidence, starts)
        if level is None:
            key = f'{name} ({len(shares[0])} images)'
            refused[key] = risk.smallest_error(*shares, confidence, starts)
        else:
            chosen[number] = levels[level]
    if (chosen == NOTHING).all():
        sure = f' with confidence {confidence}' if confidence else ''
        raise ValueError(
            f'{len(images)} images cannot promise an error of {error}{sure}'
            f'{" for any class" if per_class else ""}'
            f'{_others(refused, per_class)} More labelled images lower it.'
        )
    if refused:
        classes = (f'{name} {_number(e)}' for name, e in refused.items())
        MMLogger.get_current_instance().warning(
            'All pixels of these classes will be refused, since no threshold '
            'keeps the promise for them (smallest error that they can '
            f'promise): {", ".join(classes)}'
        )
    return chosen


def _others(refused: dict[str, float], per_class: bool) -> str:
    """What else can be promised where an error cannot, in words."""
    name = min(refused, key=refused.__getitem__)
    if refused[name] == 1:
        return ', nor any other below 1.'
    of_class = f', for {name}' if per_class else ''
    return (
        f'; the smallest that they can is {_number(refused[name])}{of_class}.'
        ' It was found on these images: to promise it, find the threshold on '
        'others.'
    )


def _number(error: float) -> str:
    return f'{error:.3f}' if error < 1 else 'none'


def what_is_kept(images: list[Tensor], chosen: Tensor) -> dict[str, float]:
    """Coverage and errors of images, each image with its shares.

    ``images`` are of :func:`.risk_control.count_errors`, ``chosen`` the
    thresholds by class. Returns ``coverage``, ``error_before``,
    ``error_kept`` and ``error_refused``; 0 of what there is nothing of.
    """
    counts = AbstentionCounts()
    # Nothing keeps the level behind them, that of pixels without a score.
    levels = torch.cat([risk.thresholds(), torch.tensor([torch.nan])])
    for rows in images:
        kept = levels[rows[:, 1]] <= chosen[rows[:, 0]]
        count, wrong = rows[:, 2:].double().T
        parts = torch.stack([count * kept, wrong * kept, wrong, count])
        counts.sums += parts.sum(1) / count.sum()
    found = {**dict(error_kept=0.0, error_refused=0.0), **counts.figures()}
    return dict(error_before=found.pop('error'), **found)


def _class_names(model: nn.Module) -> list[str]:
    """Of the abstention's classes, numbers where there are no names."""
    number = len(model.abstention.thresholds)
    names = list(model.dataset_meta.get('classes') or [])
    return names if len(names) == number else [str(i) for i in range(number)]
