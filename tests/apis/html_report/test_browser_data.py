"""What the browser of images is given."""

import base64
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import export
from mmseg_ddu.apis.html_report.browser_data import browser
from mmseg_ddu.apis.html_report.encode import photo_uri, target_size
from mmseg_ddu.apis.html_report.truth import (
    truth_from_config,
    truth_from_masks,
)
from mmseg_ddu.models.map_names import MAPS
from tests.stand_in import StandIn, make_stand_in


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(',', 1)[1])))


@pytest.fixture(scope='module')
def content(exports, config):
    return browser(exports, truth_from_config(config))


def edited(folder, target, change):
    """A copy of an export with another manifest."""
    shutil.copytree(folder, target)
    manifest = json.loads((target / 'manifest.json').read_text())
    change(manifest)
    (target / 'manifest.json').write_text(json.dumps(manifest))
    return target


def test_large_photos_are_scaled_down(tmp_path):
    Image.new('RGB', (1000, 500), 'red').save(tmp_path / 'a.png')
    size = target_size(500, 1000)
    assert size == (160, 320)
    small = picture(photo_uri(tmp_path / 'a.png', size))
    assert small.size == (320, 160) and small.format == 'JPEG'
    assert target_size(40, 30) == (40, 30) and target_size(6, 9000) == (1, 320)


def test_photos_turn_as_the_network_saw_them(tmp_path):
    """A camera held upright writes a wide image and a tag."""
    wide = Image.new('RGB', (60, 40), 'blue')
    wide.paste('red', (0, 0, 30, 40))  # the left half, on top once turned
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(tmp_path / 'a.jpg', exif=exif)
    shown = picture(photo_uri(tmp_path / 'a.jpg', (60, 40)))
    assert shown.size == (40, 60)
    red, _, blue = shown.getpixel((20, 10))
    assert red > 200 > 60 > blue
    red, _, blue = shown.getpixel((20, 50))
    assert blue > 200 > 60 > red


@pytest.mark.parametrize('shape', [(32, 48), (32, 48, 3)])
@pytest.mark.parametrize('top', [4095, 65535])
def test_photos_of_sixteen_bits_are_neither_white_nor_black(
    tmp_path, shape, top
):
    ramp = np.linspace(0, 1, 48) * np.ones((32, 1))
    pixels = ramp.reshape(32, 48, *[1] * (len(shape) - 2)) * np.ones(shape)
    path = tmp_path / 'a.png'
    assert cv2.imwrite(str(path), (top * pixels).astype(np.uint16))
    shown = np.asarray(picture(photo_uri(path, (32, 48))), float)
    assert np.abs(shown - 255 * ramp[..., None]).max() < 12


def test_pictures_are_the_exported_maps(content, exports):
    for method in content['methods']:
        folder = exports[method['name']]
        for image, maps in zip(content['images'], method['images']):
            classes = Image.open(folder / 'class' / f'{image["name"]}.png')
            shown = np.asarray(picture(maps['prediction']))
            assert (shown == np.asarray(classes)).all()
            for name in MAPS:
                values = np.load(folder / name / f'{image["name"]}.npy')
                levels = np.asarray(picture(maps[name]))
                ends = np.array([-np.inf, *method['scores'][name]['values']])
                assert levels.dtype == np.uint8
                values = values.astype(float)
                error = np.maximum(
                    ends[levels] - values, values - ends[levels + 1]
                )
                assert error.max() < 1e-4


def test_training_percentiles_are_those_of_the_score(content):
    model = StandIn()
    for method in content['methods']:
        for name in MAPS:
            score = method['scores'][name]
            training = np.array(score['training'])
            assert len(training) == 255 and (np.diff(training) >= 0).all()
            values = torch.tensor(score['values'])
            expected = model.percentile(name, values).numpy()
            np.testing.assert_allclose(training, expected, atol=2e-3)


def test_sampled_methods_have_their_own_scale(test_images, tmp_path):
    args = make_stand_in(tmp_path, sampled=True)
    export(*args, list(test_images), tmp_path / 'maps', pictures=False)
    content = browser({'a': tmp_path / 'maps'})
    for score in content['methods'][0]['scores'].values():
        assert score['training'] is None and score['unit'] == 'nats'
        assert score['bounds'] == pytest.approx([0, np.log(4)])
    scores = content['methods'][0]['images'][0]['scores']
    assert set(scores) == {f'{name}_mean' for name in MAPS}


def test_the_values_are_needed(test_images, tmp_path):
    args = make_stand_in(tmp_path)
    export(*args, list(test_images), tmp_path / 'maps', formats=['png16'])
    with pytest.raises(ValueError, match='--formats npy'):
        browser({'a': tmp_path / 'maps'})


def test_error_pictures_and_shares_agree(content):
    for maps in content['methods'][0]['images']:
        shown = np.asarray(picture(maps['error']))
        wrong, right = (shown == 1).sum(), (shown == 0).sum()
        share = maps['scores']['error_share']
        assert share == pytest.approx(wrong / (wrong + right))


def test_masks_of_another_size_are_compared_pixel_by_pixel(exports, tmp_path):
    for path in (exports['red'] / 'class').glob('*.png'):
        classes = np.asarray(Image.open(path))
        classes = np.where(np.arange(len(classes))[:, None] < 12, 3, classes)
        large = classes.repeat(2, 0).repeat(3, 1).astype(np.uint8)
        Image.fromarray(large).save(tmp_path / path.name)
    content = browser(exports, truth_from_masks(tmp_path))
    for image, maps in zip(content['images'], content['methods'][0]['images']):
        truth, prediction = (
            np.asarray(picture(uri))
            for uri in (image['truth'], maps['prediction'])
        )
        assert (truth[12:] == prediction[12:]).all()
        wrong = (truth != prediction).mean()
        assert maps['scores']['error_share'] == pytest.approx(wrong)


def test_labels_of_none_of_the_images_are_named(exports, tmp_path, said):
    assert not browser(exports, truth_from_masks(tmp_path))['has_truth']
    assert 'None of the images has labels there' in said[0]


def test_the_most_unusual_images_stay(exports):
    folder = exports['blue']
    rows = json.loads((folder / 'manifest.json').read_text())['images']
    top = sorted(rows, key=lambda row: -row['unusual_share'])[:2]
    content = browser({'a': folder}, max_images=2)
    names = {image['name'] for image in content['images']}
    assert names == {Path(row['files']['class']).stem for row in top}
    assert content['total'] == len(rows) > 2
    assert not content['has_truth']


def test_exports_that_do_not_fit_are_refused(exports, tmp_path):
    folder = exports['blue']
    other = edited(
        folder,
        tmp_path / 'classes',
        lambda manifest: manifest['classes'].append('more'),
    )
    with pytest.raises(ValueError, match='other classes'):
        browser({'a': folder, 'b': other})

    def rename(manifest):
        for row in manifest['images']:
            row['files']['class'] += '.other'

    other = edited(folder, tmp_path / 'names', rename)
    with pytest.raises(ValueError, match='no image in common'):
        browser({'a': folder, 'b': other})
    other = edited(
        folder, tmp_path / 'none', lambda manifest: manifest['images'].clear()
    )
    with pytest.raises(ValueError, match='lists no exported image'):
        browser({'a': other})


def test_missing_files_are_named(exports, tmp_path):
    def move(manifest):
        manifest['images'][0]['image'] = '/absent.png'

    folder = edited(exports['blue'], tmp_path / 'moved', move)
    with pytest.raises(FileNotFoundError, match=r'/absent\.png'):
        browser({'a': folder})
    with pytest.raises(FileNotFoundError, match=r'export_uncertainty\.py'):
        browser({'a': tmp_path})
