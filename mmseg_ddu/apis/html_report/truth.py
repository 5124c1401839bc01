"""The annotated classes of exported images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from PIL import Image

from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.datasets.ood import OUT_OF_DISTRIBUTION
from mmseg_ddu.engine.build import read_config, require_settings
from mmseg_ddu.engine.labels import require_class_numbers
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.registry import DATASETS

OOD = 254  # beside VOID
RIGHT, WRONG, STRANGE, IGNORED = range(4)
TruthReader = Callable[[Path], 'np.ndarray | None']


def truth_from_masks(folder: str | os.PathLike) -> TruthReader:
    """Masks of class indices (255 is void) named as the images are."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'There is no folder of masks {folder}.')

    def read(image: Path) -> np.ndarray | None:
        path = folder / f'{image.stem}.png'
        if not path.is_file():
            return None
        try:
            with Image.open(path) as opened:
                labels = np.asarray(opened)
        except Exception as error:  # whatever a decoder raises
            raise ValueError(
                f'The mask {path} cannot be read ({reason(error)}). Replace '
                'it, or take it away.'
            ) from error
        require_class_numbers(labels.shape, path)
        return labels.astype(np.uint8)

    return read


def truth_from_config(
    config: str | os.PathLike, cfg_options: dict | None = None
) -> TruthReader:
    """Masks of the test images of a config, as its test pipeline loads them.

    An image is found by its file name. Pixels out of distribution, where
    the pipeline knows them, are 254.
    """
    cfg = read_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    require_settings(cfg, 'test_dataloader')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    index_of = {
        Path(info['img_path']).name: index for index, info in enumerate(infos)
    }

    def read(image: Path) -> np.ndarray | None:
        index = index_of.get(image.name)
        if index is None:
            return None
        sample = dataset[index]['data_samples']
        if 'gt_sem_seg' not in sample:
            return None
        labels = sample.gt_sem_seg.data
        file = dataset.get_data_info(index).get('seg_map_path')
        require_class_numbers(labels.shape, file or f'The mask of {image}')
        labels = labels[0].numpy().astype(np.uint8)
        if 'gt_ood_map' in sample:
            strange = sample.gt_ood_map.data[0].numpy()
            labels[strange == OUT_OF_DISTRIBUTION] = OOD
        return labels

    return read


def warn_unless_they_fit(
    labels: np.ndarray, shape: tuple[int, int], classes: int, image: Path
) -> None:
    """Name labels that are hardly those of an image.

    Args:
        labels (np.ndarray): (h, w); masks of another scale are all right.
        shape (tuple): (H, W) of the image.
        classes (int): How many there are; 0 if that is not known.
    """
    sides = (*labels.shape, *shape)
    why = []
    if abs(sides[0] * sides[3] - sides[1] * sides[2]) > max(sides):
        why.append(
            f'are {labels.shape}, of other proportions than the image, which '
            f'is {shape}'
        )
    highest = int(labels.max(initial=0, where=labels < OOD))
    if classes and highest >= classes:
        why.append(f'have a class {highest}, but there are {classes} classes')
    if why:
        MMLogger.get_current_instance().warning(
            f'The labels of {image} {" and ".join(why)}: are they its own?'
        )


def error_map(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Right 0, wrong 1, out of distribution 2, void or refused 3."""
    errors = np.where(truth == predicted, RIGHT, WRONG)
    errors[truth == OOD] = STRANGE
    errors[(truth == VOID) | (predicted == VOID)] = IGNORED
    return errors.astype(np.uint8)


def error_share(errors: np.ndarray) -> float | None:
    """Wrong among the pixels that count; None if none does."""
    wrong, right = (errors == WRONG).sum(), (errors == RIGHT).sum()
    return float(wrong / (wrong + right)) if wrong + right else None
