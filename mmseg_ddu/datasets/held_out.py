"""Training sets that never show some classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log
from PIL import Image
from torch.utils.data import Dataset

from mmseg_ddu.registry import DATASETS


@DATASETS.register_module()
class DropImagesWithClasses(Dataset):
    """A data set without the images that show certain classes.

    Ignoring the pixels of a held-out class is not enough for a clean test:
    the network would still see them as context. The masks are read once, at
    the start.

    Args:
        dataset (dict): Config of the data set, with masks as single-channel
            PNG files.
        labels (Sequence[int]): Values in the mask files that must not occur.
        lazy_init (bool): Do nothing until :meth:`full_init`.
    """

    def __init__(
        self, dataset: dict, labels: Sequence[int], lazy_init: bool = False
    ) -> None:
        self.dataset = DATASETS.build(dict(dataset))
        self.labels = sorted(labels)
        self._kept: list[int] | None = None
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read all masks and choose the images; once."""
        if self._kept is not None:
            return
        self.dataset.full_init()
        total = len(self.dataset)
        self._kept = [i for i in range(total) if not self._shows(i)]
        print_log(
            f'{len(self._kept)} of {total} images show none of the held-out '
            f'labels {self.labels}.',
            logger='current',
        )
        if not self._kept:
            raise ValueError(
                f'Every image shows one of the held-out labels {self.labels}; '
                'nothing is left to train on.'
            )

    def _shows(self, index: int) -> bool:
        path = self.dataset.get_data_info(index)['seg_map_path']
        with Image.open(path) as mask:
            present = np.bincount(np.asarray(mask).ravel(), minlength=256)
        return bool(present[self.labels].any())

    def get_data_info(self, index: int) -> dict:
        """Annotation of an image that was kept."""
        return self.dataset.get_data_info(self._kept[index])

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int):
        return self.dataset[self._kept[index]]
