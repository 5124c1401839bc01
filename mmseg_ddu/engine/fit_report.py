"""What a fit says about itself."""

from __future__ import annotations

from pathlib import Path

import mmcv
import mmengine
import mmseg
import torch
from mmengine.logging import MMLogger

from mmseg_ddu.version import __version__

CHANCE = 50.0


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = dict(torch=torch, mmengine=mmengine, mmcv=mmcv, mmseg=mmseg)
    found = {name: p.__version__ for name, p in packages.items()}
    return dict(mmseg_ddu=__version__, **found)


def log_report(report: dict, dataset_meta: dict, out: Path) -> None:
    """Say what was fitted, and what is missing."""
    logger = MMLogger.get_current_instance()
    names = list(
        dataset_meta.get('classes') or range(len(report['pixels_per_class']))
    )
    logger.info(
        f'Fitted on {report["images"]} images; vectors per class: '
        + ', '.join(
            f'{name} {count}'
            for name, count in zip(names, report['vectors_per_class'])
        )
    )
    for head in report['heads']:
        _log_head(logger, head, names)
    calibration = report['calibration']
    if calibration.get('nonfinite'):
        logger.warning(
            f'{calibration["nonfinite"]} of the calibration pixels hold NaN '
            f'or infinite values; {calibration["pixels"]} are left.'
        )
    found = {
        name: value
        for name, value in calibration['errors_AUROC'].items()
        if value is not None
    }
    if found:
        values = ', '.join(f'{n} {v:.1f}%' for n, v in found.items())
        logger.info(
            'On calibration pixels the maps rank misclassified above correct '
            f'ones with an AUROC of: {values}.'
        )
    if found.get('total', 100.0) < CHANCE:
        logger.warning(
            'pred_total is worse than chance there: most errors lie where '
            'the network is sure and the features are ordinary. Look at the '
            'maps of a few images before you rely on them.'
        )
    logger.info(f'Wrote {out}')


def _log_head(logger: MMLogger, head: dict, names: list) -> None:
    """What a density lacks."""
    absent = [names[label] for label in head.get('absent_classes', [])]
    if absent:
        logger.warning(
            f'No pixel of {absent} was seen; these classes have weight '
            'zero, and their pixels will look unfamiliar.'
        )
    if head.get('nonfinite'):
        logger.warning(
            f'{head["nonfinite"]} vectors of {head["tap"]} hold NaN or '
            'infinite values and were left out. If there are many, the '
            'network is broken (diverged training, or half precision '
            'that overflows).'
        )
    if head.get('dead_features'):
        logger.info(
            f'{head["dead_features"]} of {head["num_features"]} '
            f'features of {head["tap"]} never vary.'
        )
