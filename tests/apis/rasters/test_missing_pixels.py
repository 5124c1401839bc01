"""Pixels that are not there are in no output, and spoil no other pixel."""

import numpy as np
import pytest

from mmseg_ddu.apis import export_raster, init_ddu, predict
from mmseg_ddu.apis.rasters.window_prediction import WindowPredictor
from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.core.metrics.metric import VOID
from tests.stand_in import make_stand_in

from .drawn_rasters import colors, rasterio, read, write_raster
from .test_place_and_maps import SMALL, assert_maps_of_stand_in

UNCHANGED = dict(type='LoadImageFromFile', color_type='unchanged')


@pytest.fixture(scope='module')
def any_type(tmp_path_factory):
    """The stand-in with a loader for all types of pixels."""
    return make_stand_in(tmp_path_factory.mktemp('any_type'), UNCHANGED)


def hole(height=200, width=300):
    """Where there are pixels: not in a corner, nor at some scattered ones."""
    there = np.random.default_rng(1).random((height, width)) > 0.02
    there[:110, :160] = False
    return there


def assert_holes(out, there, pixels):
    found = assert_maps_of_stand_in(out, pixels)
    assert np.array_equal(found, there)
    maps = read(out / 'scene_uncertainty.tif')
    assert np.array_equal(
        np.isfinite(maps), np.broadcast_to(there, (4, *there.shape))
    )


def test_nodata_of_colours_is_all_bands(tiny, tmp_path):
    there = hole()
    pixels = colors(200, 300) * there
    pixels[0, 50:60] = 0  # no red, yet colours
    scene = write_raster(tmp_path / 'scene.tif', pixels, nodata=0)
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert_holes(tmp_path / 'out', there, pixels)


@pytest.mark.parametrize('dtype', ['int16', 'uint16', 'float32'])
def test_nodata_of_measurements_is_any_band(any_type, tmp_path, dtype):
    there, nodata = hole(), 9999
    pixels = colors(200, 300, dtype=dtype)
    pixels[1][~there] = nodata
    scene = write_raster(tmp_path / 'scene.tif', pixels, nodata=nodata)
    export_raster(*any_type, [scene], tmp_path / 'out', **SMALL)
    assert_holes(tmp_path / 'out', there, pixels)


def test_values_that_are_not_finite(any_type, tmp_path):
    there = hole()
    pixels = colors(200, 300, dtype='float32')
    pixels[2][~there] = np.nan
    pixels[0, 199, 299], there[199, 299] = np.inf, False
    scene = write_raster(tmp_path / 'scene.tif', pixels)
    export_raster(*any_type, [scene], tmp_path / 'out', **SMALL)
    assert_holes(tmp_path / 'out', there, pixels)


def test_masks_of_the_file(tiny, tmp_path):
    there, pixels = hole(), colors(200, 300)
    scene = write_raster(tmp_path / 'scene.tif', pixels, mask=there)
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert_holes(tmp_path / 'out', there, pixels)


def test_alpha_is_no_band_of_the_network(tiny, tmp_path):
    there, pixels = hole(), colors(200, 300)
    four = np.concatenate([pixels, 200 * there[None].astype(np.uint8)])
    scene = tmp_path / 'scene.tif'
    write_raster(scene, four, photometric='RGB', alpha='YES')
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert_holes(tmp_path / 'out', there, pixels)


def test_empty_windows_are_not_predicted(tiny, tmp_path, monkeypatch):
    calls = []
    real = WindowPredictor.__call__
    monkeypatch.setattr(
        WindowPredictor,
        '__call__',
        lambda *args: calls.append(args[3]) or real(*args),
    )
    pixels = colors(64, 1024)
    pixels[:, :, 200:] = 0
    scene = write_raster(tmp_path / 'scene.tif', pixels, nodata=0)
    (row,) = export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    # They keep 0 to 96, 96 to 160, 160 to 224 and so on.
    assert calls == ['0_0.tif', '0_64.tif', '0_128.tif']
    assert (row['windows'], row['empty_windows']) == (15, 12)
    again = export_raster(
        *tiny, [scene], tmp_path / 'out', **SMALL, resume=True
    )
    assert again == [row] and len(calls) == 3
    classes = read(tmp_path / 'out' / 'scene_class.tif')[0]
    assert (classes[:, 200:] == VOID).all() and (classes[:, :200] < 4).all()


def test_nothing_but_holes(tiny, tmp_path, said):
    scene = tmp_path / 'scene.tif'
    write_raster(scene, np.zeros((3, 40, 40), np.uint8), nodata=0)
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert (read(tmp_path / 'out' / 'scene_class.tif') == VOID).all()
    assert np.isnan(read(tmp_path / 'out' / 'scene_uncertainty.tif')).all()
    assert said[-1].startswith(f'All pixels of {scene} are missing')


def test_holes_are_seen_as_padding_is(short, tmp_path):
    """A raster and nothing beside it, or holes beside it: the same."""
    config, _, fitted = short
    pixels = colors(64, 192)
    wide = np.zeros((3, 64, 256), np.uint8)
    wide[:, :, :192] = pixels
    scene = write_raster(tmp_path / 'scene.tif', wide, nodata=0)
    sizes = dict(window=256, overlap=64)
    export_raster(config, fitted, [scene], tmp_path / 'out', **sizes)
    found = read(tmp_path / 'out' / 'scene_uncertainty.tif')[1]
    model = init_ddu(config, fitted)
    mean = np.array([120, 110, 100], np.uint8).reshape(3, 1, 1)
    filled = np.where(np.arange(256) < 192, wide, mean)
    bgr = np.ascontiguousarray(filled[::-1].transpose(1, 2, 0))
    expected = predict(model, bgr).pred_aleatoric.data[0].numpy()
    assert np.abs(found - expected)[:, :192].max() < 1e-5
    assert np.isnan(found[:, 192:]).all()


def test_overviews_of_pixels_without_a_score(tiny, tmp_path, monkeypatch):
    """They show pixels as they are, the same ones in both files."""
    real, rng = WindowPredictor.__call__, np.random.default_rng(2)

    def lossy(*args):
        result = real(*args)
        result[1:, rng.random(result.shape[1:]) < 0.1] = WORST
        return result

    monkeypatch.setattr(WindowPredictor, '__call__', lossy)
    pixels = colors(700, 600) * (rng.random((700, 600)) > 0.1)
    scene = write_raster(tmp_path / 'scene.tif', pixels, nodata=0)
    sizes = dict(window=512, overlap=64)
    (row,) = export_raster(*tiny, [scene], tmp_path / 'out', **sizes)
    whole = np.concatenate([read(file) for file in row['files']])
    small = np.concatenate([overview(file) for file in row['files']])
    assert (small == np.float32(WORST)).any() and np.isnan(small).any()
    assert any(
        np.array_equal(small, whole[:, i::2, j::2], equal_nan=True)
        for i, j in np.ndindex(2, 2)
    )


def overview(path):
    with rasterio.open(path, overview_level=0) as file:
        return file.read()
