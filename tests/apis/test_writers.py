"""File formats: found by themselves, and asked in the same way."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import DDUInferencer, export, writers
from mmseg_ddu.apis.writers import FORMATS, MapWriter
from mmseg_ddu.apis.writers.file_format import choose_formats
from mmseg_ddu.core.name_registry import import_all
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.visualization.prediction import Scale
from tests.stand_in import FittedHead, StandIn, make_stand_in

SCALES = {
    key: Scale(0.0, 1.0, 'nats')
    for name in MAPS
    for key in (name, f'{name}_percentile')
}
RAW = """
from mmseg_ddu.apis.writers import FORMATS, FileFormat

@FORMATS.register('raw')
class Raw(FileFormat):
    ending, key = '.raw', '_raw'

    def encode(self, what, image):
        return image.maps[what].tobytes()
"""


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return {key: rng.random((5, 4), np.float32) for key in SCALES}


def write(folder, maps, formats):
    classes, photo = np.zeros((5, 4), np.uint8), np.zeros((5, 4, 3), np.uint8)
    writer = MapWriter(folder, SCALES, None, choose_formats(formats))
    return writer, writer.write('a', photo, classes, maps)


def test_a_format_is_one_more_file(tmp_path, maps, monkeypatch):
    """In the folder, and nothing else."""
    folder = tmp_path / 'more'
    folder.mkdir()
    (folder / 'raw_format.py').write_text(RAW)
    monkeypatch.setattr(writers, '__path__', [*writers.__path__, str(folder)])
    before = dict(FORMATS)
    try:
        import_all('mmseg_ddu.apis.writers')
        assert choose_formats() == sorted({*before, 'raw'} - {'abstain'})
        writer, files = write(tmp_path, maps, ['raw'])
        assert set(files) == {'class', *(f'{key}_raw' for key in SCALES)}
        for key, values in maps.items():
            content = (tmp_path / files[f'{key}_raw']).read_bytes()
            assert content == values.tobytes()
        assert writer.has_whole('a', (5, 4))
        (tmp_path / 'total' / 'a.raw').write_bytes(b'')
        assert not writer.has_whole('a', (5, 4))
    finally:
        FORMATS.pop('raw')


@pytest.mark.parametrize(
    'name', ['npy', 'png16', 'heat', 'overlay', 'class', 'abstain']
)
def test_files_are_whole_until_they_are_cut(name, tmp_path, maps):
    writer, files = write(tmp_path, maps, [name])
    assert writer.has_whole('a', (5, 4))
    for file in files.values():
        content = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(content[:-1])
        assert not writer.has_whole('a', (5, 4))
        (tmp_path / file).unlink()
        assert not writer.has_whole('a', (5, 4))
        (tmp_path / file).write_bytes(content)
    assert writer.has_whole('a', (5, 4))


def test_values_of_the_files(tmp_path, maps):
    _, files = write(tmp_path, maps, ['npy', 'png16'])
    for key, values in maps.items():
        assert (np.load(tmp_path / files[key]) == values).all()
        with Image.open(tmp_path / files[f'{key}_png']) as opened:
            levels = np.asarray(opened)
        np.testing.assert_allclose(levels / 65535, values, atol=1 / 65535)


def test_formats_are_chosen_by_name():
    everything = ['class', 'heat', 'npy', 'overlay', 'png16']
    assert choose_formats() == everything
    assert sorted(FORMATS) == ['abstain', *everything]
    assert choose_formats(pictures=False) == ['class', 'npy', 'png16']
    assert choose_formats(('npy', 'npy')) == ['class', 'npy']
    with pytest.raises(ValueError, match="file format to be one of.*'gif'"):
        choose_formats(['npy', 'gif'])


@pytest.mark.parametrize('count', [None, 4, 256, 300])
def test_palettes_that_are_longer_than_the_classes(tmp_path, maps, count):
    """Colours beyond them are left out; refused pixels stay grey."""
    colors = np.arange(300 * 3).reshape(300, 3) % 251
    palette = None if count is None else colors[:count].tolist()
    writer = MapWriter(tmp_path, SCALES, palette, choose_formats())
    photo = np.zeros((5, 4, 3), np.uint8)
    classes = np.full((5, 4), 255, np.uint8)
    classes[0] = 3
    files = writer.write('a', photo, classes, maps)
    with Image.open(tmp_path / files['class']) as picture:
        shown = np.asarray(picture.convert('RGB'))
    assert (shown[1:] == 150).all()
    assert count is None or (shown[0] == colors[3]).all()


@pytest.mark.parametrize('tta', [False, True])
def test_more_classes_than_8_bits_hold(tmp_path, monkeypatch, tta):
    """Which is said before anything is predicted."""
    args = make_stand_in(tmp_path)
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.jpg')
    monkeypatch.setattr(StandIn, 'out_channels', 255)
    DDUInferencer(*args, tta=tta)
    message = 'at most 255 classes, .* but the model has 256'
    if tta:  # which added classes exclude
        monkeypatch.setattr(StandIn, 'out_channels', 256)
    else:
        monkeypatch.setattr(FittedHead, 'added', ('one',), raising=False)
    with pytest.raises(ValueError, match=message):
        DDUInferencer(*args, tta=tta)
    with pytest.raises(ValueError, match=message):
        export(*args, tmp_path / 'a.jpg', tmp_path / 'out', tta=tta)
