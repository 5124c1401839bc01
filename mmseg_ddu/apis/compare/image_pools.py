"""The images and pixels that all methods are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from PIL import Image
from torch.utils.data import Dataset

from mmseg_ddu.apis.image_files import check_image, find_images
from mmseg_ddu.apis.inference import inference_pipeline
from mmseg_ddu.core.metrics.metric import VOID, JudgedImage
from mmseg_ddu.core.metrics.pixel_ranking import OOD
from mmseg_ddu.datasets.shifts import SHIFTS, shifted
from mmseg_ddu.engine.empty_folders import naming_empty_folders
from mmseg_ddu.engine.fitting_data import SeededSubset, image_suffix
from mmseg_ddu.evaluation.judged_samples import judge
from mmseg_ddu.fileio import printable
from mmseg_ddu.registry import DATASETS

PLAIN = 'plain'
HELD_OUT, NEAR, FAR = 'held_out', 'held_out_near', 'held_out_far'
# Questions that are asked about plain images.
KINDS = {HELD_OUT: [HELD_OUT, NEAR, FAR], NEAR: [NEAR], FAR: [FAR]}
JPEG = ('.jpg', '.jpeg')


class FolderImages(BaseDataset):
    """Images of another domain, as the config's test pipeline has them."""

    def __init__(self, folder: str, cfg: Config) -> None:
        suffix = image_suffix(cfg)
        self.files = find_images(folder, suffix=suffix).values()
        super().__init__(pipeline=[inference_pipeline(cfg)], test_mode=True)

    def load_data_list(self) -> list[dict]:
        return [dict(img_path=str(file)) for file in self.files]


def resolve_shifts(shifts: Sequence[str] | None) -> list[str]:
    """Names of shifts; None is all, ``['none']`` none."""
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
    shifts: Sequence[str] | None,
    domains: Mapping[str, str],
    max_images: int | None,
    shift_images: int | None,
    seed: int,
) -> dict[str, Dataset]:
    """The test images, and a few of them under each shift.

    The images that are shifted are the same for each shift, and are among
    the plain ones; see :func:`compare` for the arguments.

    Raises:
        ValueError: If a shift is unknown, or a domain named as another pool.
    """
    config = cfg.test_dataloader.dataset

    def choose(dataset: Dataset, *limits: int | None) -> Dataset:
        size = min([x for x in limits if x] or [len(dataset)])
        return SeededSubset(dataset, size, seed)

    with naming_empty_folders(config):
        pools = {PLAIN: choose(DATASETS.build(config), max_images)}
    for kind in resolve_shifts(shifts):
        dataset = DATASETS.build(shifted(config, kind, seed))
        pools[kind] = choose(dataset, max_images, shift_images)
    for name, folder in domains.items():
        if name in pools or name in KINDS:
            raise ValueError(f'The domain needs another name than {name!r}.')
        pools[name] = choose(FolderImages(folder, cfg), shift_images)
    return pools


def read_item(pool: SeededSubset, index: int) -> dict | str:
    """An image of a pool; its name and the error if it cannot be read."""
    info = pool.dataset.get_data_info(pool.indices[index])
    path = Path(info['img_path'])
    foreign = isinstance(pool.dataset, FolderImages)
    try:
        if foreign or (path.suffix.lower() in JPEG and path.is_file()):
            check_image(path)  # OpenCV reads half a JPEG and says nothing
        return pool[index]
    except Exception as error:  # whatever a decoder raises
        # Goes into the table, which takes no file name of other bytes.
        return printable(f'{path.name}: {type(error).__name__}: {error}')


def judge_in_pool(
    pool: str,
    sample: dict,
    stride: int,
    near: Sequence[int] = (),
    ignore_index: int = VOID,
) -> JudgedImage:
    """What counts of an image, at every n-th pixel.

    Of a plain image all that is known, its out-of-distribution pixels as
    held out, or near and far; of a shifted or foreign one the pixels that
    are shifted, without labels.
    """
    image = judge(sample, ignore_index, stride)
    if pool != PLAIN:
        image.labels = torch.full_like(image.labels, VOID)
        image.unlabelled = None
        every = torch.ones_like(image.labels, dtype=torch.bool)
        image.strange = {pool: image.strange.get(OOD, every)}
    elif image.strange and not near:
        image.strange = {HELD_OUT: image.strange[OOD]}
    elif image.strange:
        ood = image.strange[OOD]
        with Image.open(sample['seg_map_path']) as file:
            raw = np.asarray(file)[::stride, ::stride]
        close = torch.from_numpy(np.isin(raw, near)).to(ood.device)
        image.strange = {NEAR: ood & close, FAR: ood & ~close}
    return image
