"""Labels of what was never trained: out-of-distribution masks."""

from __future__ import annotations

import os.path as osp

import mmcv
import mmengine.fileio as fileio
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs

from mmseg_ddu.registry import TRANSFORMS

IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, VOID = 0, 1, 255


@TRANSFORMS.register_module()
class LoadOoDAnnotations(LoadAnnotations):
    """Load the class mask, and beside it an out-of-distribution mask.

    The mask ``gt_ood_map`` is 0 in distribution, 1 out of distribution and
    255 void. It is read from a file of the same name in ``ood_dir``, or, if
    that is not given, follows from the data set's classes: a pixel of a
    class that ``metainfo=dict(classes=…)`` leaves out is out of
    distribution.

    Args:
        ood_dir (str, optional): Folder of the masks, relative to the folder
            that holds the class masks' folder.
        void (int): Value of void in the class mask file.

    Raises:
        ValueError: If neither a mask folder nor a class subset tells what is
            out of distribution, or the two masks differ in size.
    """

    def __init__(
        self, *args, ood_dir: str | None = None, void: int = VOID, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ood_dir = ood_dir
        self.void = void

    def transform(self, results: dict) -> dict:
        """Load both masks; a bare image, as mmseg's inference API gives it,
        passes unchanged."""
        if 'seg_map_path' not in results:
            return results
        return super().transform(results)

    def _load_seg_map(self, results: dict) -> None:
        super()._load_seg_map(results)
        path = results['seg_map_path']
        if self.ood_dir is not None:
            folder = osp.join(osp.dirname(osp.dirname(path)), self.ood_dir)
            mask = self._read(osp.join(folder, osp.basename(path)))
        elif results.get('label_map') is not None:
            mask = self._from_classes(self._read(path), results['label_map'])
        else:
            raise ValueError(
                'LoadOoDAnnotations needs ood_dir, or a data set whose '
                'metainfo=dict(classes=…) leaves out some of its classes; '
                'otherwise nothing is out of distribution.'
            )
        if mask.shape != results['gt_seg_map'].shape:
            raise ValueError(
                f'The out-of-distribution mask of {path} is of size '
                f'{mask.shape}, the class mask of size '
                f'{results["gt_seg_map"].shape}.'
            )
        results['gt_ood_map'] = mask
        results['seg_fields'].append('gt_ood_map')

    def _read(self, path: str) -> np.ndarray:
        data = fileio.get(path, backend_args=self.backend_args)
        image = mmcv.imfrombytes(
            data, flag='unchanged', backend=self.imdecode_backend
        )
        return image.squeeze().astype(np.uint8)

    def _from_classes(self, labels: np.ndarray, label_map: dict) -> np.ndarray:
        table = np.full(256, VOID, np.uint8)
        for old, new in label_map.items():
            table[old] = OUT_OF_DISTRIBUTION if new == 255 else IN_DISTRIBUTION
        table[self.void] = VOID
        return table[labels]


@TRANSFORMS.register_module()
class PackDDUInputs(PackSegInputs):
    """PackSegInputs that also packs ``gt_ood_map``."""

    def transform(self, results: dict) -> dict:
        packed = super().transform(results)
        if 'gt_ood_map' in results:
            mask = torch.from_numpy(results['gt_ood_map'][None].astype(int))
            packed['data_samples'].set_data(
                dict(gt_ood_map=PixelData(data=mask))
            )
        return packed
