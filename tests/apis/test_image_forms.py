"""Images of other types, ranges and suffixes than photographs."""

import cv2
import numpy as np
import pytest

from mmseg_ddu.apis.image_files import check_image, find_images
from mmseg_ddu.models.uncertainty_maps import windows
from mmseg_ddu.visualization.heatmap import to_bytes


@pytest.mark.parametrize(
    'dtype, top',
    [('uint16', 65535), ('uint16', 4095), ('float32', 4095), ('float32', 1)],
)
def test_any_range_can_be_looked_at(dtype, top):
    ramp = np.linspace(0, 1, 3000).reshape(50, 20, 3)
    shown = to_bytes((ramp * top).astype(dtype)).astype(float)
    assert np.abs(shown - 255 * ramp).max() < 6


def test_floats_that_were_bytes_stay_as_they_are():
    image = np.arange(40, 100).reshape(4, 5, 3).astype(np.float32)
    assert (to_bytes(image) == image).all()


def test_floats_in_a_tiff_are_checked_by_their_header(tmp_path):
    path = tmp_path / 'a.tif'
    assert cv2.imwrite(str(path), np.ones((9, 11, 3), np.float32))
    check_image(path)
    with pytest.raises(ValueError, match='11 x 9 pixels'):
        check_image(path, 98)


def test_the_suffix_of_the_config_is_searched_too(tmp_path):
    np.save(tmp_path / 'a.npy', np.ones((4, 5, 6)))
    with pytest.raises(FileNotFoundError, match='looked for'):
        find_images(tmp_path)
    assert list(find_images(tmp_path, suffix='.npy')) == ['a']


def test_windows_without_sizes_name_the_key():
    with pytest.raises(ValueError, match='crop_size'):
        windows(8, 8, dict(mode='slide', stride=(4, 4)))
    with pytest.raises(ValueError, match='stride'):
        windows(8, 8, dict(mode='slide', crop_size=(4, 4)))
