"""Images as a test prepares them, with the labels that training sees."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmseg_ddu.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TrainingLabels(BaseTransform):
    """Test steps on an image, and training steps on its labels.

    The training steps work on a copy, of which nothing but ``gt_seg_map`` is
    kept. It joins the image as soon as that is loaded, and so goes through
    all that the test steps do to it.

    Args:
        training (Sequence[dict]): Those that load and change labels.
        test (Sequence[dict]): Those that load, change and pack the image.

    Raises:
        ValueError: If there are no labels, or they and the image differ in
            size.
    """

    def __init__(self, training: Sequence[dict], test: Sequence[dict]) -> None:
        self.training = Compose(list(training))
        self.test = [TRANSFORMS.build(step) for step in test]

    def transform(self, results: dict) -> dict:
        """Add the labels and prepare the image."""
        labels = _checked(self.training(copy.deepcopy(results)))
        for step in self.test:
            if 'img' in results and labels is not None:
                results.update(gt_seg_map=labels, seg_fields=['gt_seg_map'])
                labels = None
            results = step(results)
        sample = results['data_samples']
        sizes = results['inputs'].shape[1:], sample.gt_sem_seg.shape
        if sizes[0] != sizes[1]:
            raise ValueError(
                f'Expected image and labels of one size, but the test '
                f'pipeline makes {tuple(sizes[0])} and {tuple(sizes[1])} of '
                f'{sample.metainfo.get("img_path")}: a step changes the image '
                'alone. Let it change all of seg_fields too.'
            )
        return results


def _checked(results: dict) -> np.ndarray:
    """The labels, if they belong to the image, (H, W)."""
    labels = results.get('gt_seg_map')
    if labels is None:
        raise ValueError(
            'Expected gt_seg_map from the training pipeline, but no step of '
            'it loads labels; the densities need labelled images.'
        )
    if 'img' in results and labels.shape != results['img'].shape[:2]:
        raise ValueError(
            f'Expected labels of the size of the image, (height, width) = '
            f'{results["img"].shape[:2]}, but got {labels.shape} from '
            f'{results.get("seg_map_path")} for {results.get("img_path")}. '
            'Make the mask again from this image; if the photograph carries '
            'an EXIF rotation, apply it to the file first.'
        )
    # OpenCV resizes neither 64 bits nor truth values.
    small = labels.dtype in (np.uint8, np.uint16, np.int16, np.int32)
    return labels if small else labels.astype(np.int32)
