"""Exported files, and everything that can be wrong with images."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import export, init_ddu, predict
from mmseg_ddu.apis.inference import prepare
from mmseg_ddu.models.map_names import MAPS, PERCENTILE
from mmseg_ddu.visualization.prediction import Scale
from tests.stand_in import LOST, make_stand_in

from .checks import contents


@pytest.fixture
def photos(tmp_path):
    """A grey, an RGBA, a tiny, a long and an ordinary image."""
    folder = tmp_path / 'photos'
    (folder / 'below').mkdir(parents=True)
    rng = np.random.default_rng(0)

    def picture(height, width, channels=3):
        shape = (height, width, channels)[: 2 + (channels > 1)]
        return Image.fromarray(rng.integers(0, 255, shape, np.uint8))

    picture(40, 56).save(folder / 'rgb.jpg')
    picture(40, 56, 1).save(folder / 'grey.png')
    picture(40, 56, 4).save(folder / 'rgba.png')
    picture(1, 1).save(folder / 'tiny.png')
    picture(6, 900).save(folder / 'long.png')
    picture(40, 56).save(folder / 'below' / 'rgb.bmp')
    return folder


def test_all_kinds_of_images(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    manifest = export(*tiny, photos, out)
    assert manifest['complete'] and manifest['num_exported'] == 6
    assert json.loads((out / 'manifest.json').read_text()) == manifest
    for row in manifest['images']:
        size = Image.open(row['image']).size[::-1]
        assert (row['height'], row['width']) == size
        for path in row['files'].values():
            assert (out / path).is_file()
        for name in (*MAPS, *(f'{name}{PERCENTILE}' for name in MAPS)):
            values = np.load(out / row['files'][name])
            assert values.dtype == np.float32 and values.shape == size
            assert np.isfinite(values).all()
            mean = values[values < 1e29].mean()
            assert row[f'{name}_mean'] == pytest.approx(mean, rel=1e-4)
        classes = Image.open(out / row['files']['class'])
        assert classes.mode == 'P' and classes.size[::-1] == size
        assert Image.open(out / row['files']['overlay']).width > size[1]
    assert (out / 'overlay' / 'below' / 'rgb.png').is_file()
    assert not list(out.rglob('.tmp-*'))


def test_png_inverts_by_the_stated_scale(tiny, photos, tmp_path):
    manifest = export(*tiny, photos / 'rgb.jpg', tmp_path / 'maps')
    (row,) = manifest['images']
    for name, scale in manifest['maps'].items():
        picture = Image.open(tmp_path / 'maps' / row['files'][f'{name}_png'])
        pixels = np.asarray(picture).astype(float)
        assert pixels.max() > 255  # 16 bit
        low, high = scale['png_low'], scale['png_high']
        values = np.load(tmp_path / 'maps' / row['files'][name])
        decoded = low + pixels / 65535 * (high - low)
        np.testing.assert_allclose(
            decoded, np.clip(values, low, high), atol=(high - low) / 65535
        )
    high = manifest['maps']['aleatoric']['png_high']
    assert high == pytest.approx(math.log(4))


def test_scale_counts_what_it_clips():
    scale = Scale(0.0, 2.0, 'nats')
    values = np.array([-1.0, 0.0, 1.0, 2.0, 3.0])
    assert scale.encode(values).tolist() == [0, 0, 32768, 65535, 65535]
    assert scale.clipped_share(values) == pytest.approx(0.4)


def test_layout_of_the_output_folder(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    export(*tiny, photos / 'rgb.jpg', out)
    expected = {'manifest.json', 'class/rgb.png', 'overlay/rgb.png'}
    for name in MAPS:
        expected |= {f'{name}/rgb{end}' for end in ('.npy', '.png')}
        expected |= {f'{name}_percentile/rgb{e}' for e in ('.npy', '.png')}
        expected.add(f'{name}/rgb_heat.png')
    found = set(contents(out))
    assert found == expected


def test_further_heads_are_exported_likewise(photos, tmp_path):
    args = make_stand_in(tmp_path, extra_heads=('knn',))
    out = tmp_path / 'maps'
    (row,) = export(*args, photos / 'rgb.jpg', out)['images']
    half = np.load(out / row['files']['epistemic_knn'])
    whole = np.load(out / row['files']['epistemic'])
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)
    assert {'epistemic_knn_heat', 'epistemic_knn_percentile_png'} < set(
        row['files']
    )


def test_pixels_without_a_score_are_cyan_and_in_no_mean(tiny, tmp_path):
    pixels = np.full((200, 200, 3), 90, np.uint8)
    pixels[:50] = LOST
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    (row,) = export(*tiny, tmp_path / 'a.png', tmp_path / 'maps')['images']
    assert row['lost_share'] == 0.25
    assert row['epistemic_max'] < 100 and row['total_mean'] < 100
    for name in ('epistemic', 'total'):
        values = np.load(tmp_path / 'maps' / row['files'][name])
        assert (values[:50] == np.float32(1e30)).all()
        drawn = Image.open(tmp_path / 'maps' / row['files'][f'{name}_heat'])
        cyan = (np.asarray(drawn)[:, :200] == (0, 255, 255)).all(-1)
        assert cyan[:50].all() and not cyan[50:].any()


@pytest.mark.parametrize(
    'formats, pictures, expected',
    [
        (['npy'], True, {'.npy'}),
        (('png16', 'heat'), False, {'.png'}),
        (None, False, {'.npy', '.png'}),
        ([], True, set()),
    ],
)
def test_chosen_formats(tiny, photos, tmp_path, formats, pictures, expected):
    out = tmp_path / 'maps'
    image = photos / 'rgb.jpg'
    manifest = export(*tiny, image, out, formats=formats, pictures=pictures)
    assert {path.suffix for path in (out / 'total').glob('*')} == expected
    assert (out / 'class' / 'rgb.png').is_file()
    assert not list(out.rglob('*_heat.png'))
    again = dict(formats=formats, pictures=pictures, resume=True)
    assert export(*tiny, image, out, **again) == manifest


def test_an_unknown_format_lists_what_there_is(tiny, photos, tmp_path):
    with pytest.raises(ValueError, match="'heat', 'npy', 'overlay', 'png16'"):
        export(*tiny, photos, tmp_path / 'maps', formats=['gif'])
    assert not (tmp_path / 'maps').exists()


def test_array_equals_file(tiny, photos):
    import mmcv

    model = init_ddu(*tiny)
    path = photos / 'grey.png'
    from_file = predict(model, path)
    from_array = predict(model, mmcv.imread(str(path)))
    torch.testing.assert_close(
        from_file.pred_epistemic.data, from_array.pred_epistemic.data
    )


def test_damaged_images_are_listed_and_skipped(tiny, photos, tmp_path):
    whole = (photos / 'rgb.jpg').read_bytes()
    (photos / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
    (photos / 'empty.png').write_bytes(b'')
    (photos / 'text.jpg').write_text('no image')
    manifest = export(*tiny, photos, tmp_path / 'maps')
    bad = {
        Path(row['image']).name: row['error']
        for row in manifest['images']
        if 'error' in row
    }
    assert set(bad) == {'cut.jpg', 'empty.png', 'text.jpg'}
    assert 'truncated' in bad['cut.jpg']
    assert manifest['num_exported'] == 6 and manifest['num_skipped'] == 3


def test_an_error_of_the_model_is_not_blamed_on_the_image(
    tiny, photos, tmp_path, monkeypatch
):
    def broken(self, data):
        raise ValueError('out of order')

    monkeypatch.setattr('tests.stand_in.StandIn.test_step', broken)
    with pytest.raises(ValueError, match='out of order'):
        export(*tiny, photos, tmp_path / 'maps')


def test_empty_and_missing_folder(tiny, tmp_path):
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(FileNotFoundError, match='no image in'):
        export(*tiny, tmp_path / 'nothing', tmp_path / 'maps')
    with pytest.raises(FileNotFoundError, match='no image or folder'):
        export(*tiny, tmp_path / 'absent', tmp_path / 'maps')
    assert not (tmp_path / 'maps').exists()


def test_existing_output_needs_the_flag(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    export(*tiny, photos / 'rgb.jpg', out, pictures=False)
    assert not (out / 'overlay').exists()
    assert not list(out.rglob('*_heat.png'))
    before = (out / 'manifest.json').read_bytes()
    with pytest.raises(FileExistsError, match='not empty'):
        export(*tiny, photos / 'grey.png', out)
    assert (out / 'manifest.json').read_bytes() == before
    export(*tiny, photos / 'grey.png', out, overwrite=True)
    assert (out / 'manifest.json').read_bytes() != before


def test_output_that_cannot_be_written(tiny, photos, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='Choose another folder'):
        export(*tiny, photos, tmp_path / 'file' / 'maps')


@pytest.mark.skipif(
    os.name != 'posix' or os.geteuid() == 0,
    reason='root may write into read-only folders',
)
def test_read_only_output(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    out.mkdir(mode=0o555)
    with pytest.raises(OSError, match='change its permissions'):
        export(*tiny, photos, out)


def test_read_only_file_system(tiny, photos, tmp_path, monkeypatch):
    """As root too: what the system says is passed on."""
    import errno
    import tempfile

    def refuse(*_, **__):
        raise OSError(errno.EROFS, 'Read-only file system')

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    with pytest.raises(OSError, match='Read-only file system. Choose'):
        export(*tiny, photos, tmp_path / 'maps')


def test_interrupt_keeps_a_manifest(tiny, photos, tmp_path, monkeypatch):
    calls = []

    def interrupted(model, image):
        calls.append(image)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return prepare(model, image)

    monkeypatch.setattr(
        'mmseg_ddu.apis.exporting.one_image.prepare', interrupted
    )
    with pytest.raises(KeyboardInterrupt):
        export(*tiny, photos, tmp_path / 'maps')
    manifest = json.loads((tmp_path / 'maps/manifest.json').read_text())
    assert manifest['complete'] is False
    assert manifest['num_exported'] == 2
