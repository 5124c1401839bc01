"""What is written, against the pixels and against whole predictions."""

import math

import cv2
import numpy as np
import pytest
import torch
from mmseg.apis import inference_model, init_model

from mmseg_ddu.apis import export_raster, init_ddu, predict
from mmseg_ddu.core.metrics.metric import VOID

from .drawn_rasters import PLACE, colors, rasterio, read, write_raster

SMALL = dict(window=128, overlap=64)
ROTATED = rasterio.Affine(0.4, 0.3, 7e5, 0.3, -0.4, 5e6)


def assert_maps_of_stand_in(out, pixels, name='scene'):
    """Computed here from the bands; missing pixels are left out."""
    classes = read(out / f'{name}_class.tif')[0]
    maps = read(out / f'{name}_uncertainty.tif')
    there = classes != VOID
    assert np.array_equal(classes[there], maps[0][there])
    shares = pixels.astype(np.float32) / 256
    expected = [
        (shares.mean(0) * 4).astype(int),
        math.log(4) * (1 - shares[1]),
        120 * shares[2] ** 2 - 60,  # red, green, blue; the network has BGR
    ]
    for found, value in zip(maps, expected):
        np.testing.assert_allclose(found[there], value[there], atol=1e-4)
    return there


@pytest.mark.parametrize('size', [(5, 7), (128, 128), (197, 301), (260, 33)])
def test_sizes_and_place(tiny, tmp_path, size):
    pixels = colors(*size)
    scene = write_raster(tmp_path / 'scene.tif', pixels, transform=ROTATED)
    (row,) = export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert row['files'] == [
        str(tmp_path / 'out' / f'scene_{kind}.tif')
        for kind in ('class', 'uncertainty')
    ]
    assert assert_maps_of_stand_in(tmp_path / 'out', pixels).all()
    for file in row['files']:
        with rasterio.open(file) as written:
            assert written.shape == size
            assert written.crs == rasterio.CRS.from_epsg(32632)
            assert written.transform.almost_equals(ROTATED)
            assert written.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
    left = {path.name for path in (tmp_path / 'out').iterdir()}
    assert left - {'.lock'} == {
        'scene_class.tif',
        'scene_class.tif.aux.xml',
        'scene_uncertainty.tif',
    }


def test_one_raster_by_its_path(tiny, tmp_path):
    scene = write_raster(tmp_path / 'scene.tif', colors(20, 30))
    (row,) = export_raster(*tiny, str(scene), tmp_path / 'out', **SMALL)
    assert row['raster'] == str(scene)


def test_what_a_viewer_finds(tiny, tmp_path):
    scene = write_raster(tmp_path / 'scene.tif', colors(700, 600))
    options = dict(percentiles=True, window=512, overlap=64)
    export_raster(*tiny, [scene], tmp_path / 'out', **options)
    with rasterio.open(tmp_path / 'out' / 'scene_class.tif') as file:
        assert file.dtypes == ('uint8',) and file.nodata == VOID
        table = file.colormap(1)
        assert len({table[index] for index in range(4)}) == 4
        assert file.overviews(1) == [2]
    names = (tmp_path / 'out' / 'scene_class.tif.aux.xml').read_text()
    assert '<Category>sky</Category>' in names
    with rasterio.open(tmp_path / 'out' / 'scene_uncertainty.tif') as file:
        assert set(file.dtypes) == {'float32'} and math.isnan(file.nodata)
        three = ('aleatoric', 'epistemic', 'total')
        shares = tuple(f'{name}_percentile' for name in three)
        assert file.descriptions == ('class', *three, *shares)
        assert file.units[3] == 'nats of surprise'


def test_control_points_and_no_place(tiny, tmp_path, said):
    points = [
        rasterio.control.GroundControlPoint(row, column, 9 + column, 50 - row)
        for row, column in ((0, 0), (0, 40), (30, 0), (30, 40))
    ]
    scene = tmp_path / 'scene.tif'
    places = dict(crs=None, transform=None)
    write_raster(scene, colors(30, 40), **places)
    other = write_raster(tmp_path / 'points.tif', colors(30, 40), **places)
    with rasterio.open(other, 'r+') as file:
        file.gcps = points, rasterio.CRS.from_epsg(4326)
    out = tmp_path / 'out'
    export_raster(*tiny, [scene, other], out, **SMALL)
    assert [line for line in said if 'no coordinate reference' in line] == [
        f'{scene} has no coordinate reference system; its maps get none '
        'either.'
    ]
    with rasterio.open(out / 'points_class.tif') as file:
        found, system = file.gcps
        assert system == rasterio.CRS.from_epsg(4326)
        assert [(p.row, p.col, p.x, p.y) for p in found] == [
            (p.row, p.col, p.x, p.y) for p in points
        ]
    assert_maps_of_stand_in(out, colors(30, 40))


def test_virtual_rasters(tiny, tmp_path):
    pixels = colors(190, 70)
    source = write_raster(tmp_path / 'source.tif', pixels)
    scene = tmp_path / 'scene.vrt'
    rasterio.shutil.copy(source, scene, driver='VRT')
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert assert_maps_of_stand_in(tmp_path / 'out', pixels).all()
    with rasterio.open(tmp_path / 'out' / 'scene_class.tif') as file:
        assert file.transform == PLACE['transform']


def test_rasters_of_one_name(tiny, tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
    scenes = [
        write_raster(tmp_path / f / 'scene.tif', colors(8, 8, seed=i))
        for i, f in enumerate('ab')
    ]
    rows = export_raster(*tiny, scenes, tmp_path / 'out', **SMALL)
    assert len({file for row in rows for file in row['files']}) == 4
    first, second = (read(row['files'][1]) for row in rows)
    assert not np.array_equal(first, second)


@pytest.fixture
def whole(short, tmp_path, request):
    """A raster, and its maps as mmseg and as predict() see it at once."""
    config, weights, fitted = short
    aligned = getattr(request, 'param', False)
    if aligned:
        text = config.read_text()
        assert 'align_corners=False' in text
        config.write_text(
            text.replace('align_corners=False', 'align_corners=True')
        )
    pixels = colors(256 + aligned, 320 + aligned)
    scene = write_raster(tmp_path / 'scene.tif', pixels)
    bgr = np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0))
    plain = init_model(str(config), str(weights), 'cpu')
    logits = inference_model(plain, bgr).seg_logits.data
    sample = predict(init_ddu(config, fitted), bgr)
    return scene, logits, sample


@pytest.mark.parametrize('whole', [False, True], indirect=True)
def test_no_seams_where_the_overlap_is_wider_than_the_sight(
    short, whole, tmp_path
):
    scene, logits, sample = whole
    config, _, fitted = short
    out = tmp_path / 'out'
    export_raster(config, fitted, [scene], out, **SMALL)
    maps = read(out / 'scene_uncertainty.tif')[1:]
    chances = logits.softmax(0)
    entropy = torch.distributions.Categorical(chances.movedim(0, 2)).entropy()
    assert np.abs(maps[0] - entropy.numpy()).max() < 0.001
    for found, name in zip(maps[1:], ('epistemic', 'total')):
        expected = sample.get(f'pred_{name}').data[0].numpy()
        assert np.abs(found - expected).max() < 0.01
    classes = read(out / 'scene_class.tif')[0]
    top = chances.sort(0).values[-2:]
    clear = (top[1] - top[0] > 1e-4).numpy()
    assert (classes == logits.argmax(0).numpy())[clear].all()
    assert len(np.unique(classes)) > 1


def test_seams_without_overlap(short, whole, tmp_path):
    """Else the test above would not find them."""
    scene, _, sample = whole
    config, _, fitted = short
    sizes = dict(window=64, overlap=0)
    export_raster(config, fitted, [scene], tmp_path / 'out', **sizes)
    found = read(tmp_path / 'out' / 'scene_uncertainty.tif')[2]
    assert np.abs(found - sample.pred_epistemic.data[0].numpy()).max() > 0.1


def test_scale_in_place_of_resize(short, whole, tmp_path):
    scene, _, _ = whole
    config, _, fitted = short
    text = config.read_text()
    resize = "dict(type='Resize', scale=(80, 80)), dict(type='PackSegInputs')"
    config.write_text(text.replace("dict(type='PackSegInputs')", resize))
    with pytest.raises(ValueError, match=r'resizes images .*--scale 1'):
        export_raster(config, fitted, [scene], tmp_path / 'out', **SMALL)
    export_raster(config, fitted, [scene], tmp_path / 'out', scale=2, **SMALL)
    found = read(tmp_path / 'out' / 'scene_uncertainty.tif')[2]
    bgr = read(scene)[::-1].transpose(1, 2, 0)
    config.write_text(text)
    large = predict(
        init_ddu(config, fitted),
        cv2.resize(np.ascontiguousarray(bgr), None, fx=2, fy=2),
    ).pred_epistemic.data
    expected = torch.nn.functional.interpolate(
        large[None], (256, 320), mode='bilinear'
    )[0, 0].numpy()
    # Windows are enlarged by themselves, so their edges differ a little.
    assert np.median(np.abs(found - expected)) < 1e-3


def test_steps_that_change_the_size_are_refused(short, whole, tmp_path):
    config, _, fitted = short
    pad = "dict(type='Pad', size=(199, 199)), dict(type='PackSegInputs')"
    text = config.read_text().replace("dict(type='PackSegInputs')", pad)
    config.write_text(text)
    with pytest.raises(ValueError, match='crops, pads or resizes'):
        export_raster(config, fitted, [whole[0]], tmp_path / 'out', **SMALL)
    assert not (tmp_path / 'out' / 'scene.part').exists()


@pytest.mark.parametrize('scale', [0, -1, math.inf, math.nan])
def test_scales_that_are_none(tiny, tmp_path, scale):
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match='finite number above 0'):
        export_raster(*tiny, [tmp_path / 'scene.tif'], out, scale=scale)
    assert not out.exists()


@pytest.mark.parametrize('scale', [1e300, 1e-9])
def test_scales_that_no_image_has(tiny, tmp_path, scale):
    pixels = colors(60, 60)
    scene = write_raster(tmp_path / 'scene.tif', pixels)
    with pytest.raises(ValueError, match='cannot take a window .*--scale'):
        export_raster(*tiny, [scene], tmp_path / 'out', scale=scale)
    export_raster(*tiny, [scene], tmp_path / 'out')
    assert assert_maps_of_stand_in(tmp_path / 'out', pixels).all()


def test_refused_pixels(short, whole, tmp_path):
    config, _, fitted = short
    content = torch.load(fitted, weights_only=False)
    total = whole[2].pred_total.data[0].numpy()
    level = float(np.median(total))
    classes = content['state_dict']['decode_head.conv_seg.bias'].shape[0]
    key = 'abstention.thresholds'
    content['state_dict'][key] = torch.full((classes,), level)
    torch.save(content, fitted)
    export_raster(config, fitted, [whole[0]], tmp_path / 'out', **SMALL)
    found = read(tmp_path / 'out' / 'scene_class.tif')[0]
    maps = read(tmp_path / 'out' / 'scene_uncertainty.tif')
    sure = np.abs(total - level) > 0.01
    assert ((found == VOID) == (total > level))[sure].all()
    assert np.array_equal(maps[4], found == VOID)
    assert np.array_equal(np.isnan(maps[0]), found == VOID)
    assert np.isfinite(maps[1:]).all()
    with rasterio.open(tmp_path / 'out' / 'scene_uncertainty.tif') as file:
        assert file.descriptions[4] == 'abstain'
