"""Shifted test images, and data sets that hold them beside the plain ones.

A shift test asks whether a score is higher on the pixels of shifted images
than on the pixels of the same images unshifted.
"""

from __future__ import annotations

import inspect
import os.path as osp
import zlib

import numpy as np
from mmengine.dataset import ConcatDataset

from mmseg_ddu.registry import DATASETS, TRANSFORMS, bare_type, type_name

from .image_shifts import MOVED, REPLACED, SHIFTS
from .inner_datasets import change_inner_datasets
from .ood import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, VOID


def ood_map_of(results: dict) -> np.ndarray:
    """The out-of-distribution mask, or 0 and void from the class mask."""
    if 'gt_ood_map' in results:
        return results['gt_ood_map']
    void = results['gt_seg_map'] == VOID
    return np.where(void, VOID, IN_DISTRIBUTION).astype(np.uint8)


def _set_ood_map(results: dict, mask: np.ndarray) -> None:
    results['gt_ood_map'] = mask.astype(np.uint8)
    if 'gt_ood_map' not in results['seg_fields']:
        results['seg_fields'].append('gt_ood_map')


@TRANSFORMS.register_module()
class ShiftImage:
    """Shift an image and mark all of it as out of distribution.

    Stands after the steps that resize the image and load the masks, just
    before packing; so the strength is that which the network sees. The same
    image is always shifted in the same way: the random numbers depend on
    its file name, the kind and ``seed`` alone.

    The masks tell the truth about the new image: shifts that move the content
    move the class mask, shifts that replace it leave no class (void).
    ``gt_ood_map`` becomes 1, save where there was void in an image whose
    content is still there. A bare image, as mmseg's inference API gives it,
    is shifted too.

    Args:
        kind (str): A key of ``SHIFTS``.
        seed (int): Of the random numbers.
        hide_labels (bool): Make the class mask void, so that mIoU does not
            count the image.
        options: Further arguments of the function of this name in
            ``mmseg_ddu/datasets/image_shifts.py``.

    Raises:
        ValueError: If the kind or an option is unknown.
    """

    def __init__(
        self, kind: str, seed: int = 0, hide_labels: bool = False, **options
    ) -> None:
        if kind not in SHIFTS:
            raise ValueError(
                f'Expected kind to be one of {", ".join(SHIFTS)}, but got '
                f'{kind!r}.'
            )
        parameters = list(inspect.signature(SHIFTS[kind].function).parameters)
        unknown = set(options) - set(parameters[2:])
        if unknown:
            raise ValueError(
                f'The shift {kind!r} takes the options {parameters[2:]}, but '
                f'got {sorted(unknown)}.'
            )
        self.kind = kind
        self.shift = SHIFTS[kind]
        self.seed = seed
        self.hide_labels = hide_labels
        self.options = options

    def __call__(self, results: dict) -> dict:
        """Shift ``img`` and the masks."""
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                'Expected img to be (H, W, 3) uint8, but got '
                f'{image.shape} {image.dtype}; load it without to_float32 '
                'and shift it before any normalisation.'
            )
        results['img'] = self._apply(image, results)
        if 'gt_seg_map' in results:
            self._shift_masks(results)
        return results

    def _apply(self, array: np.ndarray, results: dict) -> np.ndarray:
        name = results.get('img_path') or results.get('sample_idx', 0)
        name = osp.basename(str(name))
        key = zlib.crc32(f'{self.kind}/{name}'.encode())
        rng = np.random.default_rng([self.seed, key])
        return self.shift.function(array, rng, **self.options)

    def _shift_masks(self, results: dict) -> None:
        masks = [results['gt_seg_map'], ood_map_of(results)]
        content = self.shift.content
        if content == MOVED:
            masks = [self._apply(mask, results) for mask in masks]
        labels, ood = masks
        if self.hide_labels or content == REPLACED:
            labels = np.full_like(labels, VOID)
        void = (ood == VOID) & (content != REPLACED)
        results['gt_seg_map'] = labels
        _set_ood_map(results, np.where(void, VOID, OUT_OF_DISTRIBUTION))


@TRANSFORMS.register_module()
class VoidOoD:
    """Make void what is out of distribution already.

    For the unshifted images of a shift test: a held-out object there is
    neither a positive nor a negative.
    """

    def __call__(self, results: dict) -> dict:
        """Change ``gt_ood_map``, or derive it from the class mask."""
        if 'gt_seg_map' in results:
            mask = ood_map_of(results)
            mask = np.where(mask == IN_DISTRIBUTION, IN_DISTRIBUTION, VOID)
            _set_ood_map(results, mask)
        return results


def before_packing(dataset: dict, step: dict) -> dict:
    """The config of a data set with one more step before packing.

    Goes into wrappers and concatenations. ``PackSegInputs`` becomes
    ``PackDDUInputs``, which packs ``gt_ood_map`` too.

    Raises:
        ValueError: If a pipeline does not end in a packing step.
    """

    def change(leaf: dict) -> dict:
        steps = list(leaf.get('pipeline') or [])
        if not steps or 'Pack' not in bare_type(steps[-1]):
            raise ValueError(
                'Expected the pipeline of the data set to end in '
                'PackSegInputs or mmseg_ddu.PackDDUInputs, but got '
                f'{steps[-1:]}.'
            )
        if type_name(steps[-1]) == 'PackSegInputs':
            steps[-1] = dict(steps[-1], type='mmseg_ddu.PackDDUInputs')
        leaf['pipeline'] = [*steps[:-1], step, steps[-1]]
        return leaf

    return change_inner_datasets(dataset, change)


def shifted(dataset: dict, kind: str, seed: int = 0, **options) -> dict:
    """The config of a test data set with every image shifted.

    Args:
        dataset (dict): Config, such as ``cfg.test_dataloader.dataset``.
        kind (str): A key of ``SHIFTS``.
        seed (int): Of the random numbers.
        options: Further arguments of :class:`ShiftImage`.
    """
    step = dict(type='mmseg_ddu.ShiftImage', kind=kind, seed=seed, **options)
    return before_packing(dataset, step)


@DATASETS.register_module()
class WithShift(ConcatDataset):
    """A test data set, and behind it the same images shifted.

    ``tools/test.py`` then prints how well each score separates the pixels of
    shifted images (``ood``: positives) from those of the plain ones. mIoU
    and the ``mis`` figures are those of the plain images.

    Args:
        dataset (dict): Config of the plain data set.
        kind (str): A key of ``SHIFTS``.
        seed (int): Of the random numbers.
        options: Of the shift.
    """

    def __init__(
        self, dataset: dict, kind: str, seed: int = 0, **options
    ) -> None:
        plain = before_packing(dataset, dict(type='mmseg_ddu.VoidOoD'))
        moved = shifted(dataset, kind, seed, hide_labels=True, **options)
        super().__init__([plain, moved])
