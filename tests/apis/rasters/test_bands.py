"""Bands and bits go through the loader of the config, or nowhere."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_ddu.apis import export_raster
from tests.stand_in import StandIn, make_stand_in

from .drawn_rasters import colors, rasterio, read, write_raster
from .test_place_and_maps import SMALL, assert_maps_of_stand_in

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'export_raster.py'
UNCHANGED = dict(type='LoadImageFromFile', color_type='unchanged')


def epistemic(path, band):
    """As the stand-in computes it of one band."""
    return 120 * (read(path)[band].astype(np.float32) / 256) ** 2 - 60


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
@pytest.mark.parametrize('channel', [0, 3])
def test_four_bands(tmp_path, dtype, channel):
    options = dict(in_channels=4, channel=channel)
    model = make_stand_in(tmp_path, UNCHANGED, **options)
    pixels = colors(70, 190, 4, dtype)
    # As most files of four bands: the last one is not said to be alpha.
    place = dict(photometric='MINISBLACK', alpha='NO')
    scene = write_raster(tmp_path / 'scene.tif', pixels, **place)
    export_raster(*model, [scene], tmp_path / 'out', **SMALL)
    found = read(tmp_path / 'out' / 'scene_uncertainty.tif')[2]
    band = {0: 2, 3: 3}[channel]  # OpenCV: blue, green, red, the fourth
    np.testing.assert_allclose(found, epistemic(scene, band), atol=1e-4)


def test_sixteen_bits_as_the_loader_of_colours_reads_them(tiny, tmp_path):
    pixels = colors(70, 190, 3, 'uint16')
    scene = write_raster(tmp_path / 'scene.tif', 257 * pixels)
    export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
    assert_maps_of_stand_in(tmp_path / 'out', pixels)


@pytest.mark.parametrize('channel', [0, 5])
def test_six_bands_of_a_loader_of_arrays(tmp_path, channel):
    loader = dict(type='LoadImageFromNpyFile')
    options = dict(in_channels=6, channel=channel, img_suffix='.npy')
    model = make_stand_in(tmp_path, loader, **options)
    scene = tmp_path / 'scene.tif'
    write_raster(scene, colors(70, 190, 6, 'uint16'))
    export_raster(*model, [scene], tmp_path / 'out', **SMALL)
    found = read(tmp_path / 'out' / 'scene_uncertainty.tif')[2]
    np.testing.assert_allclose(found, epistemic(scene, channel), atol=1e-4)


def test_chosen_bands_in_their_order(tiny, tmp_path):
    pixels = colors(70, 190, 5)
    scene = write_raster(tmp_path / 'scene.tif', pixels)
    chosen = dict(bands=[5, 1, 2], **SMALL)
    export_raster(*tiny, [scene], tmp_path / 'out', **chosen)
    assert_maps_of_stand_in(tmp_path / 'out', pixels[[4, 0, 1]])


@pytest.mark.parametrize(
    ('count', 'bands', 'message'),
    [
        (5, None, r'5 bands .* the network takes 3\. .*--bands 1 2 3\.'),
        (2, None, r'2 bands .* the network takes 3\. .*--bands 1 2 2\.'),
        (5, [1, 2], r'5 bands \(2 bands were chosen\), but the network'),
        (3, [1, 2, 4], 'the bands 1 to 3, so there is no band 4'),
    ],
)
def test_bands_that_do_not_fit(tiny, tmp_path, count, bands, message):
    scene = write_raster(tmp_path / 'scene.tif', colors(9, 9, count))
    with pytest.raises(ValueError, match=message):
        export_raster(*tiny, [scene], tmp_path / 'out', bands=bands)


@pytest.mark.parametrize(
    ('channels', 'loader', 'message'),
    [
        (
            4,
            dict(type='LoadImageFromFile'),
            r'makes \(64, 64, 3\) of a window',
        ),
        (2, UNCHANGED, r'makes \(64, 64, 1\) of a window with 2 bands'),
        (6, UNCHANGED, 'cannot read a window with 6 bands of type uint8'),
    ],
)
def test_loaders_that_lose_bands(tmp_path, channels, loader, message):
    model = make_stand_in(tmp_path, loader, in_channels=channels)
    scene = tmp_path / 'scene.tif'
    write_raster(
        scene, colors(9, 9, channels), photometric='MINISBLACK', alpha='NO'
    )
    with pytest.raises(ValueError, match=message):
        export_raster(*model, [scene], tmp_path / 'out')
    assert not (tmp_path / 'out' / 'scene.part').exists()


def test_complex_numbers_and_damaged_files(tiny, tmp_path):
    scene = write_raster(tmp_path / 'scene.tif', colors(9, 9).astype('c8'))
    with pytest.raises(ValueError, match='pixels of type complex64'):
        export_raster(*tiny, [scene], tmp_path / 'out')
    text = tmp_path / 'text.tif'
    text.write_text('no raster')
    with pytest.raises(OSError, match=r'text\.tif'):
        export_raster(*tiny, [text], tmp_path / 'out')
    damaged = tmp_path / 'damaged.tif'
    write_raster(damaged, colors(400, 400), compress='deflate', tiled=True)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    damaged.write_bytes(content)
    with pytest.raises(OSError, match=r'damaged\.tif.*(rows|IReadBlock|read)'):
        export_raster(*tiny, [damaged], tmp_path / 'out', **SMALL)


def test_without_rasterio_one_line_says_what_to_do(
    tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    argv = [TOOL, *tiny, 'scene.tif', '--out-dir', tmp_path / 'out']
    monkeypatch.setattr(sys, 'argv', list(map(str, argv)))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    needed = 'error: Rasters need rasterio: pip install "mmseg_ddu[geo]".'
    assert error == needed


def test_the_command_line(tiny, tmp_path, monkeypatch, capsys):
    pixels = colors(70, 190, 4)
    scene = write_raster(tmp_path / 'scene.tif', pixels)
    argv = [TOOL, *tiny, scene, '--out-dir', tmp_path / 'out']
    argv += ['--bands', 2, 3, 4, '--window', 128, '--overlap', 64]
    monkeypatch.setattr(sys, 'argv', list(map(str, argv)))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == 0
    assert '1 rasters exported' in capsys.readouterr().out
    assert_maps_of_stand_in(tmp_path / 'out', pixels[1:])


def test_bands_of_several_types(tmp_path):
    """As a VRT may put them together."""
    model = make_stand_in(tmp_path, UNCHANGED)
    pixels = colors(70, 190, 3, 'uint16')
    write_raster(tmp_path / 'a.tif', pixels[:1].astype('uint8'))
    write_raster(tmp_path / 'b.tif', pixels[1:])
    sources = [('Byte', 'a', 1), ('UInt16', 'b', 1), ('UInt16', 'b', 2)]
    bands = ''.join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
        f'<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>'
        for number, (kind, name, band) in enumerate(sources, 1)
    )
    scene = tmp_path / 'scene.vrt'
    size = 'rasterXSize="190" rasterYSize="70"'
    scene.write_text(f'<VRTDataset {size}>{bands}</VRTDataset>')
    export_raster(*model, [scene], tmp_path / 'out', **SMALL)
    assert_maps_of_stand_in(tmp_path / 'out', pixels)


def test_a_palette_that_is_longer_than_the_classes(tmp_path):
    model = make_stand_in(tmp_path)
    content = torch.load(model[1])
    palette = [[n % 251, 7, 9] for n in range(300)]
    content['meta']['dataset_meta']['palette'] = palette
    torch.save(content, model[1])
    scene = write_raster(tmp_path / 'scene.tif', colors(40, 50))
    export_raster(*model, [scene], tmp_path / 'out', **SMALL)
    with rasterio.open(tmp_path / 'out' / 'scene_class.tif') as file:
        shown = file.colormap(1)
    assert [list(shown[n][:3]) for n in range(4)] == palette[:4]
    assert shown[255][3] == 0


def test_more_classes_than_8_bits_hold(tiny, tmp_path, monkeypatch):
    scene = write_raster(tmp_path / 'scene.tif', colors(40, 50))
    monkeypatch.setattr(StandIn, 'out_channels', 256)
    with pytest.raises(ValueError, match='at most 255 classes'):
        export_raster(*tiny, [scene], tmp_path / 'out', **SMALL)
