"""Training sets that never show some classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmseg_ddu.engine.fitting_data import ChosenImages
from mmseg_ddu.registry import DATASETS


@DATASETS.register_module()
class DropImagesWithClasses(ChosenImages):
    """A data set without the images that show certain classes.

    Ignoring the pixels of a held-out class is not enough for a clean test:
    the network would still see them as context. The masks are read once, at
    the start.

    Args:
        dataset (dict): Config of the data set, with masks as single-channel
            PNG files.
        labels (Sequence[int]): Values in the mask files that must not occur.

    Raises:
        ValueError: If no image is left.
    """

    def __init__(self, dataset: dict, labels: Sequence[int]) -> None:
        every = DATASETS.build(dict(dataset))
        every.full_init()
        infos = map(every.get_data_info, range(len(every)))
        paths = [info['seg_map_path'] for info in infos]
        labels = sorted(labels)
        kept = [i for i, path in enumerate(paths) if not _shows(path, labels)]
        print_log(
            f'{len(kept)} of {len(paths)} images show none of the held-out '
            f'labels {labels}.',
            logger='current',
        )
        if not kept:
            raise ValueError(
                f'Every image shows one of the held-out labels {labels}; '
                'nothing is left to train on.'
            )
        super().__init__(every, kept)

    def get_data_info(self, index: int) -> dict:
        """Annotation of an image that was kept."""
        return self.dataset.get_data_info(self.indices[index])


def _shows(path: str, labels: list[int]) -> bool:
    with Image.open(path) as mask:
        return bool(np.isin(mask, labels).any())
