"""Public benchmarks of out-of-distribution segmentation.

Each reads the folders as they are published. Their masks are 0 in
distribution, 1 out of distribution and 255 void; use them with
``mmseg_ddu.LoadOoDAnnotations``. Except in StreetHazards there are no class
masks, so mIoU means nothing there.
"""

from __future__ import annotations

import io
import os.path as osp
import re

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset, CityscapesDataset

from mmseg_ddu.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class OoDMaskDataset(BaseSegDataset):
    """Images with out-of-distribution masks and no class masks.

    ``data_prefix=dict(img_path=…, ood_map_path=…)``. An image without a mask
    (hidden test labels) is left out.

    Args:
        img_suffix (str): End of the image files.
        ood_map_suffix (str): End of the mask files, after the same stem.
        others: Of mmseg's BaseSegDataset. ``metainfo=dict(classes=…)``: those
            of the network.

    Raises:
        FileNotFoundError: If there is no image with a mask.
    """

    IMG_SUFFIX = '.png'
    OOD_MAP_SUFFIX = '.png'
    PREFIX = dict(img_path='images', ood_map_path='masks')

    def __init__(
        self,
        img_suffix: str | None = None,
        ood_map_suffix: str | None = None,
        data_prefix: dict | None = None,
        **kwargs,
    ) -> None:
        self.ood_map_suffix = ood_map_suffix or self.OOD_MAP_SUFFIX
        super().__init__(
            img_suffix=img_suffix or self.IMG_SUFFIX,
            data_prefix=dict(data_prefix or self.PREFIX),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """One entry for each mask, sorted by the mask's path."""
        folder = self.data_prefix['ood_map_path']
        names = sorted(self._files(folder, self.ood_map_suffix))
        stems = [name.removesuffix(self.ood_map_suffix) for name in names]
        data_list = [
            dict(
                img_path=image,
                ood_map_path=osp.join(folder, name),
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[],
            )
            for name, image in zip(names, self._images(stems))
            if image is not None
        ]
        if not data_list:
            raise FileNotFoundError(
                f'There is no image with a mask *{self.ood_map_suffix} in '
                f'{folder}. Set data_root to the folder of the data set as '
                'it was unpacked, or data_prefix and the suffixes.'
            )
        return data_list

    def _images(self, stems: list[str]) -> list[str | None]:
        """The path of each mask's image, None if there is no image."""
        folder = self.data_prefix['img_path']
        there = set(self._files(folder, self.img_suffix))
        names = [stem + self.img_suffix for stem in stems]
        return [osp.join(folder, n) if n in there else None for n in names]

    def _files(self, folder: str, suffix: str) -> list[str]:
        """Paths from a folder on; none if it is not there."""
        backend = dict(backend_args=self.backend_args)
        if not fileio.isdir(folder, **backend):
            return []
        return list(
            fileio.list_dir_or_file(
                folder,
                list_dir=False,
                suffix=suffix,
                recursive=True,
                **backend,
            )
        )


@DATASETS.register_module()
class SMIYCDataset(OoDMaskDataset):
    """RoadAnomaly21 and RoadObstacle21 of SegmentMeIfYouCan.

    ``images/NAME.jpg`` (RoadObstacle21: ``img_suffix='.webp'``) and
    ``labels_masks/NAME_labels_semantic.png``; only the validation images
    have public labels (Chan et al., NeurIPS 2021, arXiv 2104.14812).
    """

    METAINFO = CityscapesDataset.METAINFO
    IMG_SUFFIX = '.jpg'
    OOD_MAP_SUFFIX = '_labels_semantic.png'
    PREFIX = dict(img_path='images', ood_map_path='labels_masks')


@DATASETS.register_module()
class RoadAnomalyDataset(OoDMaskDataset):
    """Road Anomaly (Lis et al., ICCV 2019, arXiv 1904.07595).

    ``frames/NAME.jpg`` and ``frames/NAME.labels/labels_semantic.png``, where
    2 is the anomaly: load with ``LoadOoDAnnotations(positives=(2,))``.
    """

    METAINFO = CityscapesDataset.METAINFO
    IMG_SUFFIX = '.jpg'
    OOD_MAP_SUFFIX = '.labels/labels_semantic.png'
    PREFIX = dict(img_path='frames', ood_map_path='frames')


@DATASETS.register_module()
class FishyscapesLostAndFoundDataset(OoDMaskDataset):
    """Fishyscapes Lost & Found, validation (Blum et al., arXiv 1904.03215).

    ``fishyscapes_lostandfound/NUMBER_STEM_labels.png``, and the images of
    Lost and Found: ``leftImg8bit/{train,test}/PLACE/STEM_leftImg8bit.png``.
    """

    METAINFO = CityscapesDataset.METAINFO
    IMG_SUFFIX = '_leftImg8bit.png'
    OOD_MAP_SUFFIX = '_labels.png'
    PREFIX = dict(
        img_path='leftImg8bit', ood_map_path='fishyscapes_lostandfound'
    )

    def _images(self, stems: list[str]) -> list[str | None]:
        folder = self.data_prefix['img_path']
        paths = {
            osp.basename(name): osp.join(folder, name)
            for name in self._files(folder, self.img_suffix)
        }
        names = [re.sub(r'^\d+_', '', osp.basename(stem)) for stem in stems]
        return [paths.get(name + self.img_suffix) for name in names]


@DATASETS.register_module()
class FishyscapesStaticDataset(FishyscapesLostAndFoundDataset):
    """Fishyscapes Static, validation (Blum et al., arXiv 1904.03215).

    ``fs_val/NUMBER_STEM_labels.png`` and ``fs_val/NUMBER_STEM_rgb.npz``, the
    difference to the validation image of Cityscapes,
    ``leftImg8bit/val/CITY/STEM_leftImg8bit.png``. Load the images with
    ``mmseg_ddu.LoadImageWithOverlay``.
    """

    PREFIX = dict(img_path='leftImg8bit/val', ood_map_path='fs_val')

    def load_data_list(self) -> list[dict]:
        data_list = super().load_data_list()
        for info in data_list:
            stem = info['ood_map_path'].removesuffix(self.ood_map_suffix)
            info['overlay_path'] = f'{stem}_rgb.npz'
        return data_list


@TRANSFORMS.register_module()
class LoadImageWithOverlay(LoadImageFromFile):
    """Load an image and add ``overlay_path``, an ``.npz`` file with the
    difference ``rgb`` (H, W, 3), where the data set names one."""

    def transform(self, results: dict) -> dict:
        """Load ``img``."""
        results = super().transform(results)
        if results is not None and 'overlay_path' in results:
            data = fileio.get(results['overlay_path'])
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                overlay = file['rgb'].astype(np.int32)[..., ::-1]  # as BGR
            image = results['img'].astype(np.int32) + overlay
            results['img'] = image.clip(0, 255).astype(results['img'].dtype)
        return results


STREET_HAZARDS = {
    'unlabeled': [0, 0, 0],
    'building': [70, 70, 70],
    'fence': [190, 153, 153],
    'other': [250, 170, 160],
    'pedestrian': [220, 20, 60],
    'pole': [153, 153, 153],
    'road line': [157, 234, 50],
    'road': [128, 64, 128],
    'sidewalk': [244, 35, 232],
    'vegetation': [107, 142, 35],
    'car': [0, 0, 142],
    'wall': [102, 102, 156],
    'traffic sign': [220, 220, 0],
    'anomaly': [60, 250, 240],
}


@DATASETS.register_module()
class StreetHazardsDataset(BaseSegDataset):
    """StreetHazards (Hendrycks et al., arXiv 1911.11132).

    ``train/images/{training,validation}/TOWN/*.png`` and
    ``test/images/test/TOWN/*.png``, with class masks of the same names under
    ``annotations`` whose values start at 1. ``metainfo=dict(classes=…)`` is
    expected to leave out ``anomaly``, which the test images alone show.
    """

    METAINFO = dict(
        classes=tuple(STREET_HAZARDS), palette=list(STREET_HAZARDS.values())
    )

    def __init__(
        self,
        img_suffix: str = '.png',
        reduce_zero_label: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(
            img_suffix=img_suffix,
            reduce_zero_label=reduce_zero_label,
            **kwargs,
        )
