"""Labels of what was never trained: out-of-distribution masks."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import mmcv
import mmengine.fileio as fileio
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs

from mmseg_ddu.registry import TRANSFORMS, bare_type

from .inner_datasets import change_inner_datasets

IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, VOID = 0, 1, 255


def _file_values(step: LoadAnnotations, path: str) -> np.ndarray:
    """A mask as it is in its file, read as the step reads masks."""
    data = fileio.get(path, backend_args=step.backend_args)
    image = mmcv.imfrombytes(
        data, flag='unchanged', backend=step.imdecode_backend
    )
    image = image.squeeze().astype(np.uint8)
    return image if image.ndim == 2 else image[..., 0]


@TRANSFORMS.register_module()
class LoadKnownAnnotations(LoadAnnotations):
    """Load the class mask with the pixels of some classes made void.

    For training with held-out classes whose images stay (see
    ``DropImagesWithClasses`` for the other way). As a loading step, it also
    serves the fit of the densities, which takes the labels as training does.

    Args:
        held_out_labels (Sequence[int]): Values in the mask file.
    """

    def __init__(self, *args, held_out_labels: Sequence[int], **kwargs):
        super().__init__(*args, **kwargs)
        self.held_out_labels = sorted(held_out_labels)

    def _load_seg_map(self, results: dict) -> None:
        super()._load_seg_map(results)
        labels = _file_values(self, results['seg_map_path'])
        held_out = np.isin(labels, self.held_out_labels)
        results['gt_seg_map'][held_out] = VOID


@TRANSFORMS.register_module()
class LoadOoDAnnotations(LoadAnnotations):
    """Load the class mask, and beside it an out-of-distribution mask.

    The mask ``gt_ood_map`` is 0 in distribution, 1 out of distribution and
    255 void. It comes from the first of these that there is:

    1. a file, where the data set names one (``ood_map_path``: the data sets
       in ``mmseg_ddu/datasets/ood_datasets.py``) or in ``ood_dir``;
    2. ``held_out_labels``;
    3. the data set's classes: a pixel of a class that
       ``metainfo=dict(classes=…)`` leaves out is out of distribution.

    Where it is 1, the class mask is void. Without a class mask (a data set
    of out-of-distribution masks alone) all of it is.

    Args:
        ood_dir (str, optional): Folder of the masks, relative to the folder
            that holds the class masks' folder.
        void (int): Value of void in the mask files.
        held_out_labels (Sequence[int], optional): Values in the class mask
            file that are out of distribution. A class that ``metainfo``
            leaves out and that is not among them is void: so near and far
            classes can be measured apart.
        positives (Sequence[int]): Values in the out-of-distribution mask
            file that mean so.

    Raises:
        ValueError: If nothing tells what is out of distribution, or the two
            masks differ in size.
    """

    def __init__(
        self,
        *args,
        ood_dir: str | None = None,
        void: int = VOID,
        held_out_labels: Sequence[int] | None = None,
        positives: Sequence[int] = (OUT_OF_DISTRIBUTION,),
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if ood_dir is not None and held_out_labels is not None:
            raise ValueError(
                'Expected ood_dir or held_out_labels, but got both; the mask '
                'can come from one place only.'
            )
        self.ood_dir = ood_dir
        self.void = void
        self.held_out_labels = held_out_labels
        self.positives = tuple(positives)

    def transform(self, results: dict) -> dict:
        """Load both masks; a bare image, as mmseg's inference API gives it,
        passes unchanged."""
        if not {'seg_map_path', 'ood_map_path'} & set(results):
            return results
        return super().transform(results)

    def _load_seg_map(self, results: dict) -> None:
        path = results.get('seg_map_path')
        ood_path = results.get('ood_map_path')
        if path is not None:
            super()._load_seg_map(results)
            if ood_path is None and self.ood_dir is not None:
                folder = osp.join(osp.dirname(osp.dirname(path)), self.ood_dir)
                ood_path = osp.join(folder, osp.basename(path))
        if ood_path is None:
            table = self._table(results.get('label_map'))
            mask = table[_file_values(self, path)]
        else:
            values = _file_values(self, ood_path)
            mask = np.isin(values, self.positives).astype(np.uint8)
            mask[values == self.void] = VOID
        if path is None:
            results['gt_seg_map'] = np.full_like(mask, VOID)
            results['seg_fields'].append('gt_seg_map')
        if mask.shape != results['gt_seg_map'].shape:
            raise ValueError(
                f'The out-of-distribution mask of {results["img_path"]} is of '
                f'size {mask.shape}, the class mask of size '
                f'{results["gt_seg_map"].shape}.'
            )
        results['gt_seg_map'][mask == OUT_OF_DISTRIBUTION] = VOID
        results['gt_ood_map'] = mask
        results['seg_fields'].append('gt_ood_map')

    def _table(self, label_map: dict | None) -> np.ndarray:
        """From values in the class mask file to the mask, (256,)."""
        if label_map is None and self.held_out_labels is None:
            raise ValueError(
                'LoadOoDAnnotations needs ood_dir, held_out_labels, or a data '
                'set whose metainfo=dict(classes=…) leaves out some of its '
                'classes; otherwise nothing is out of distribution.'
            )
        # The same shift that mmseg makes before it applies the label map.
        offset = int(bool(self.reduce_zero_label))
        if label_map is None:  # all classes are known
            label_map = dict.fromkeys(range(256 - offset), 0)
        table = np.full(256, VOID, np.uint8)
        for old, new in label_map.items():
            if new != VOID:
                table[old + offset] = IN_DISTRIBUTION
            elif self.held_out_labels is None:
                table[old + offset] = OUT_OF_DISTRIBUTION
        table[list(self.held_out_labels or ())] = OUT_OF_DISTRIBUTION
        table[self.void] = VOID
        return table


def with_held_out(dataset: dict, labels: Sequence[int]) -> dict:
    """The config of a test data set with other classes marked.

    ``with_held_out(cfg.test_dataloader.dataset, (13, 17))`` measures near
    classes alone, another list far ones.

    Args:
        dataset (dict): Config whose pipeline has a LoadOoDAnnotations step;
            wrappers and concatenations are gone into.
        labels (Sequence[int]): ``held_out_labels`` of that step.

    Raises:
        ValueError: If there is no such step.
    """

    def change(leaf: dict) -> dict:
        steps = [
            step
            for step in leaf.get('pipeline') or []
            if bare_type(step).endswith('LoadOoDAnnotations')
        ]
        if not steps:
            raise ValueError(
                'Expected a mmseg_ddu.LoadOoDAnnotations step in the pipeline '
                'of the data set; put it in the place of LoadAnnotations.'
            )
        for step in steps:
            step['held_out_labels'] = tuple(labels)
            step.pop('ood_dir', None)
        return leaf

    return change_inner_datasets(dataset, change)


@TRANSFORMS.register_module()
class PackDDUInputs(PackSegInputs):
    """PackSegInputs that also packs ``gt_ood_map``."""

    def transform(self, results: dict) -> dict:
        packed = super().transform(results)
        if 'gt_ood_map' in results:
            mask = torch.from_numpy(results['gt_ood_map'][None].astype(int))
            packed['data_samples'].gt_ood_map = PixelData(data=mask)
        return packed
