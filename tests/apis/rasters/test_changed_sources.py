"""Rasters of several files: none may change while an export is stopped."""

import zipfile

import numpy as np
import pytest

from mmseg_ddu.apis import export_raster

from .drawn_rasters import colors, rasterio, read, write_raster
from .test_place_and_maps import SMALL
from .test_stopping_rasters import broken

PIXELS, OTHERS = colors(64, 400), colors(64, 400, seed=1)
THERE = np.arange(400) < 300 * np.ones((64, 1))


def virtual(path, source):
    """A VRT that reads another raster, which may be a VRT itself."""
    rasterio.shutil.copy(path.parent / 'source.tif', path, driver='VRT')
    text = path.read_text()
    assert '>source.tif<' in text
    path.write_text(text.replace('>source.tif<', f'>{source}<'))
    return path


def write_mask(path, there):
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, 'r+') as file,
    ):
        file.write_mask(there)


@pytest.fixture
def source(tmp_path):
    return write_raster(tmp_path / 'source.tif', PIXELS)


@pytest.fixture
def stopped(tiny, source, tmp_path, before_window):
    """Begin with a raster, and give what goes on with it."""

    def begin(scene):
        def resume(**options):
            options = {**SMALL, **options}
            return export_raster(*tiny, [scene], tmp_path / 'out', **options)

        before_window(3, broken)
        with pytest.raises(RuntimeError, match='out of order'):
            resume()
        before_window(0, broken)
        return resume

    return begin


@pytest.mark.parametrize('depth', [1, 2])
def test_sources_of_virtual_rasters(stopped, source, tmp_path, depth):
    scene, size = source, source.stat().st_size
    for level in range(depth):
        scene = virtual(tmp_path / f'{level}.vrt', scene.name)
    resume = stopped(scene)
    write_raster(source, OTHERS)
    assert source.stat().st_size == size
    with pytest.raises(ValueError, match=r'files source\.tif \(was .*--over'):
        resume(resume=True)
    resume(overwrite=True)
    write_raster(source, PIXELS)
    with pytest.raises(ValueError, match=r'uncertainty\.tif was made with'):
        resume(resume=True)


@pytest.mark.parametrize('is_virtual', [False, True])
@pytest.mark.parametrize('change', ['come', 'changed', 'gone'])
def test_masks_beside_the_file(stopped, source, tmp_path, is_virtual, change):
    scene, mask = source, tmp_path / 'source.tif.msk'
    if change != 'come':
        write_mask(source, THERE)
    times = source.stat()
    if is_virtual:
        scene = virtual(tmp_path / 'scene.vrt', source.name)
    resume = stopped(scene)
    if change != 'come':
        mask.unlink()
    if change != 'gone':
        write_mask(source, ~THERE)
    assert mask.exists() == (change != 'gone')
    assert source.stat().st_mtime_ns == times.st_mtime_ns
    with pytest.raises(ValueError, match=r'settings: files source\.tif\.msk'):
        resume(resume=True)


def test_files_that_are_not_on_the_disk(stopped, source, tmp_path, said):
    archive = tmp_path / 'all.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        file.write(source, 'source.tif')
    inside = f'/vsizip/{archive}/source.tif'
    scene = virtual(tmp_path / 'scene.vrt', inside)
    text = scene.read_text().replace('relativeToVRT="1"', 'relativeToVRT="0"')
    scene.write_text(text)
    source.unlink()
    resume = stopped(scene)
    warned = f'{scene} is made of files that are not on this disk ({inside})'
    assert not any(warned in line for line in said)
    resume(resume=True)
    (line,) = [line for line in said if warned in line]
    assert line.endswith('if they have, start again with --overwrite.')
    with rasterio.open(inside) as file:
        assert np.array_equal(file.read(), PIXELS)
    shares = PIXELS.astype(np.float32) / 256
    classes = read(tmp_path / 'out' / 'scene_class.tif')[0]
    assert np.array_equal(classes, (shares.mean(0) * 4).astype(int))


def test_what_viewers_write_is_no_change(stopped, source):
    resume = stopped(source)
    with rasterio.open(source) as file:
        file.statistics(1)
    beside = source.with_name(f'{source.name}.aux.xml')
    if not beside.exists():
        beside.write_text('<PAMDataset></PAMDataset>')
    source.with_name(f'{source.name}.ovr').write_bytes(b'')
    assert resume(resume=True)


def test_another_value_of_missing_pixels_is_a_change(stopped, source):
    """Also where only the file of statistics says so."""
    resume = stopped(source)
    source.with_name(f'{source.name}.aux.xml').write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>7</NoDataValue>'
        '</PAMRasterBand></PAMDataset>'
    )
    with pytest.raises(ValueError, match='source.tif'):
        resume(resume=True)
