"""The pixels that all methods are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mmseg_ddu.apis.exporting import find_images
from mmseg_ddu.apis.inference import check_image, inference_pipeline
from mmseg_ddu.datasets.shifts import SHIFTS, shifted
from mmseg_ddu.engine.fitting_data import SeededSubset
from mmseg_ddu.registry import DATASETS

PLAIN = 'plain'
CORRECT, WRONG = 'correct', 'wrong'
HELD_OUT, NEAR, FAR = 'held_out', 'held_out_near', 'held_out_far'
IN_DISTRIBUTION = (CORRECT, WRONG)
OUT_OF_DISTRIBUTION = (HELD_OUT, NEAR, FAR)
NEAR_KEYS = ('near_ood_labels', 'held_out_labels')
VOID = 255
JPEG = ('.jpg', '.jpeg')


class FolderImages(Dataset):
    """Images of another domain, without masks, as a data set.

    Args:
        folder (str): Searched for images.
        cfg (Config): Whose test pipeline prepares them.
    """

    metainfo: dict = {}

    def __init__(self, folder: str, cfg: Config) -> None:
        self.files = list(find_images(folder).values())
        self.pipeline = inference_pipeline(cfg)

    def full_init(self) -> None:
        """Everything is there already."""

    def __len__(self) -> int:
        return len(self.files)

    def get_data_info(self, index: int) -> dict:
        """Where an image is."""
        return dict(img_path=str(self.files[index]))

    def __getitem__(self, index: int) -> dict:
        check_image(self.files[index])
        return self.pipeline(self.get_data_info(index))


def resolve_shifts(shifts: Sequence[str] | None) -> list[str]:
    """Names of shifts; None is all, ``['none']`` none.

    Raises:
        ValueError: If a name is unknown.
    """
    if shifts is None or list(shifts) == ['all']:
        return list(SHIFTS)
    if list(shifts) == ['none']:
        return []
    unknown = sorted(set(shifts) - set(SHIFTS))
    if unknown:
        raise ValueError(
            f'Unknown shifts {unknown}; there are {", ".join(SHIFTS)}, all '
            'and none.'
        )
    return list(dict.fromkeys(shifts))


def build_pools(
    cfg: Config,
    shifts: Sequence[str],
    domains: Mapping[str, str],
    max_images: int | None,
    shift_images: int | None,
    seed: int,
) -> dict[str, Dataset]:
    """The test images, and a few of them under each shift.

    The images that are shifted are the same for each shift, and are among
    the plain ones.

    Args:
        cfg (Config): With a ``test_dataloader``.
        shifts (Sequence[str]): Keys of ``SHIFTS``.
        domains (Mapping[str, str]): Name to a folder of other images.
        max_images (int, optional): Most test images.
        shift_images (int, optional): Most images for each shift or domain.
        seed (int): Of the choices and the shifts.
    """
    config = cfg.test_dataloader.dataset

    def choose(dataset: Dataset, *limits: int | None) -> Dataset:
        size = min([x for x in limits if x] or [len(dataset)])
        return SeededSubset(dataset, size, seed)

    pools = {PLAIN: choose(DATASETS.build(config), max_images)}
    for kind in shifts:
        dataset = DATASETS.build(shifted(config, kind, seed))
        pools[kind] = choose(dataset, max_images, shift_images)
    for name, folder in domains.items():
        if name in pools or name in OUT_OF_DISTRIBUTION:
            raise ValueError(f'The domain needs another name than {name!r}.')
        pools[name] = choose(FolderImages(folder, cfg), shift_images)
    return pools


def read_item(pool: SeededSubset, index: int) -> dict | str:
    """An image of a pool; its name and the error if it cannot be read."""
    info = pool.dataset.get_data_info(pool.indices[index])
    path = Path(info['img_path'])
    try:
        if path.suffix.lower() in JPEG and path.is_file():
            check_image(path)  # OpenCV reads half a JPEG and says nothing
        return pool[index]
    except Exception as error:  # whatever a decoder raises
        return f'{path.name}: {type(error).__name__}: {error}'


class Truth:
    """What is known about the pixels of an image, on the sub-grid.

    Attributes:
        labels (Tensor): (h, w) classes, void where they do not count: void
            in the data, or out of distribution.
        ood (dict[str, Tensor]): Kind of out-of-distribution to (h, w) bool.
    """

    def __init__(
        self,
        sample: SegDataSample,
        stride: int,
        near: Sequence[int] = (),
        ignore_index: int = VOID,
    ) -> None:
        self.ood: dict[str, Tensor] = {}
        label = _thin(sample.gt_sem_seg.data[0], stride)
        self.labels = label.where(label != ignore_index, VOID)
        if 'gt_ood_map' not in sample:
            return
        mask = _thin(sample.gt_ood_map.data[0], stride)
        self.labels = self.labels.where(mask == 0, VOID)
        if not near:
            self.ood[HELD_OUT] = mask == 1
            return
        with Image.open(sample.seg_map_path) as file:
            raw = np.asarray(file)[::stride, ::stride]
        close = torch.from_numpy(np.isin(raw, list(near)))
        self.ood[NEAR] = (mask == 1) & close
        self.ood[FAR] = (mask == 1) & ~close


def shifted_pixels(
    sample: SegDataSample, size: Sequence[int], stride: int
) -> Tensor:
    """Which pixels of a shifted or foreign image count, (h, w) bool."""
    if 'gt_ood_map' in sample:
        return _thin(sample.gt_ood_map.data[0], stride) == 1
    return torch.ones(*size, dtype=torch.bool)


def near_labels(cfg: Config) -> list[int]:
    """Mask values of the classes that are near out of distribution.

    ``near_ood_labels`` of the config, or its ``held_out_labels``: classes
    whose images were kept from training.
    """
    for key in NEAR_KEYS:
        if cfg.get(key) is not None:
            return [int(label) for label in cfg[key]]
    return []


def _thin(values: Tensor, stride: int) -> Tensor:
    return values[::stride, ::stride].cpu()
