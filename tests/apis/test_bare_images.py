"""Steps of a user's own that need labels do not stop a prediction."""

import numpy as np
import pytest
from mmcv.transforms import BaseTransform, TestTimeAug

from mmseg_ddu.apis.inference import BareImagePipeline

TestTimeAug.__test__ = False  # pytest would take it for tests


class LoadMask(BaseTransform):
    def transform(self, results):
        results['read'] = results['seg_map_path']
        return results


class Halve(BaseTransform):
    def transform(self, results):
        results['img'] = results['img'] // 2
        return results


class Drop(BaseTransform):
    def transform(self, results):
        return None


class Broken(BaseTransform):
    def transform(self, results):
        return results['no_such_key']


def test_a_loader_of_ones_own_is_left_out_and_named_once(said):
    pipeline = BareImagePipeline([LoadMask(), Halve()])
    for _ in range(2):
        found = pipeline(dict(img=np.full(3, 8)))
        assert found['img'].tolist() == [4, 4, 4] and 'read' not in found
    (text,) = said
    assert 'LoadMask' in text and 'seg_map_path' in text


def test_with_labels_it_is_a_step_like_any(said):
    pipeline = BareImagePipeline([LoadMask(), Halve()])
    found = pipeline(dict(img=np.full(3, 8), seg_map_path='mask.png'))
    assert found['read'] == 'mask.png' and not said


def test_augmentations_are_not_left_out_for_one_step_in_them(said):
    both = TestTimeAug([[LoadMask()]])
    with pytest.raises(KeyError, match='seg_map_path'):
        BareImagePipeline([both])(dict(img=np.zeros(3)))
    assert not said


def test_a_step_that_drops_the_image_is_named():
    """mmcv's Compose gives None, which no batch can hold."""
    with pytest.raises(ValueError, match='Drop of the .* makes nothing'):
        BareImagePipeline([Drop(), Halve()])(dict(img=np.zeros(3)))


def test_other_keys_are_errors():
    with pytest.raises(KeyError, match='no_such_key'):
        BareImagePipeline([Broken()])(dict(img=np.zeros(3)))
