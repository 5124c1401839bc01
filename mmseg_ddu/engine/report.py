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
    for view in report['views']:
        absent = [names[label] for label in view.get('absent_classes', [])]
        if absent:
            logger.warning(
                f'No pixel of {absent} was seen; these classes have weight '
                'zero, and their pixels will look unfamiliar.'
            )
        if view.get('nonfinite'):
            logger.warning(
                f'{view["nonfinite"]} vectors of {view["tap"]} '
                f'({view["transform"]}) hold NaN or infinite values and were '
                'left out. If there are many, the network is broken '
                '(diverged training, or half precision that overflows).'
            )
        if view.get('dead_features'):
            logger.info(
                f'{view["dead_features"]} of {view["num_features"]} '
                f'features of {view["tap"]} never vary.'
            )
    calibration = report['calibration']
    if calibration.get('nonfinite'):
        logger.warning(
            f'{calibration["nonfinite"]} of the calibration pixels hold NaN '
            f'or infinite values; {calibration["pixels"]} are left.'
        )
    auroc = calibration['mis_AUROC']
    if auroc is not None:
        logger.info(
            'On calibration pixels the epistemic score ranks misclassified '
            f'above correct ones with an AUROC of {auroc:.1f}%.'
        )
    if auroc is not None and auroc < CHANCE:
        logger.warning(
            'That is worse than chance: either most errors lie between '
            'classes that look alike, which is aleatoric, or unsure pixels '
            'look familiar to these densities. Look at the maps of a few '
            'images before you rely on them.'
        )
    logger.info(f'Wrote {out}')
