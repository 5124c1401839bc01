"""Files that nobody would want to meet, and what is promised of them."""

from __future__ import annotations

import base64
import io
import os
import resource
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import export, init_ddu
from mmseg_ddu.apis.html_report.encode import photo_uri
from mmseg_ddu.apis.image_files import SUFFIXES, check_image, find_images
from mmseg_ddu.apis.inference import loaded_pixels
from mmseg_ddu.visualization.heatmap import TITLE_HEIGHT
from tests.stand_in import StandIn

from .checks import assert_manifest_is_the_disk, assert_whole, in_child
from .hostile import animated, bomb, encoded, make_corpus, rotated, sixteen_bit

COUNT = int(os.environ.get('DDU_HOSTILE_FILES', 200))


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob('*'))


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / 'corpus'
    make_corpus(folder, COUNT)
    yield folder
    (folder / 'locked').chmod(0o700)  # so that it can be removed


def files_with_suffix(folder: Path) -> set[str]:
    """An independent walk: all that is named as an image, but folders."""
    found = set()
    todo = [str(folder)]
    while todo:
        for entry in os.scandir(todo.pop()):
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                found.add(entry.path)
    return found


def test_a_hostile_folder(tiny, corpus, tmp_path):
    out = tmp_path / 'maps'
    before = tree(tmp_path)
    manifest = export(*tiny, corpus, out, pictures=COUNT > 1000)
    assert manifest['complete']
    assert {row['image'] for row in manifest['images']} == files_with_suffix(
        corpus
    )
    # Nothing was written elsewhere, and no file is of two images.
    assert all(p.is_relative_to(out) for p in tree(tmp_path) - before)
    assert_whole(out)
    assert_manifest_is_the_disk(out)
    files = [
        file
        for row in manifest['images']
        for file in row.get('files', {}).values()
    ]
    folded = {os.path.normcase(file).casefold() for file in files}
    assert len(files) == len(set(files)) == len(folded)
    rows = {Path(row['image']).name: row for row in manifest['images']}
    for name, what in [
        ('bomb.png', 'more than 64,000,000'),
        ('bomb31.png', 'more than 64,000,000'),
        ('bomb_zeros.png', '9000 x 9000 pixels, more than'),
        ('pipe.png', 'not a regular file'),
        ('device.png', 'not a regular file'),
        ('dangling.png', 'No such file'),
        ('loop1.png', 'symbolic links'),
        ('empty.jpg', 'empty'),
        ('array.png', 'cannot identify'),
        ('program.jpg', 'cannot identify'),
    ]:
        assert what in rows[name]['error'], name
    for name in ['Case.png', 'case.png', 'outside.png', 'heat_heat.png']:
        assert 'files' in rows[name], rows[name]
    good = manifest['num_exported']
    assert good > 60 and manifest['num_skipped'] > 30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'{good} good, {manifest["num_skipped"]} left out, {peak=} KiB')


def test_a_limit_on_pixels(tiny, tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for width in (10, 11):
        image = Image.new('RGB', (width, 10))
        image.save(photos / f'{width}.png')
    manifest = export(*tiny, photos, tmp_path / 'maps', max_pixels=100)
    first, second = manifest['images']
    assert 'files' in first
    assert '11 x 10 pixels' in second['error']
    assert '--max-pixels' in second['error']
    with pytest.raises(ValueError, match='max_pixels'):
        export(*tiny, photos, tmp_path / 'maps', max_pixels=0)


def test_a_limit_above_that_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    Image.new('RGB', (9, 9)).save(tmp_path / 'a.png')
    check_image(tmp_path / 'a.png', 81)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / 'bomb.png'
    path.write_bytes(bomb(60_000, 60_000))

    def little_memory():
        limit = 1 << 28  # above what there is; the bomb needs 10 GB
        now = int(Path('/proc/self/statm').read_text().split()[0])
        size = now * os.sysconf('SC_PAGE_SIZE') + limit
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        with pytest.raises(ValueError, match='60000 x 60000'):
            check_image(path)

    assert in_child(little_memory) == 0


def test_a_file_too_large_for_its_pixels(tmp_path):
    path = tmp_path / 'a.png'
    Image.new('RGB', (9, 9)).save(path)
    os.truncate(path, 1 << 33)  # a hole, not on the disk
    with pytest.raises(ValueError, match='8,589,934,592 bytes'):
        check_image(path, 64_000_000)


@pytest.mark.skipif(os.name != 'posix', reason='users of POSIX')
def test_what_may_not_be_read_is_accounted_for():
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        (folder / 'locked').mkdir()
        for path in (folder / 'a.png', folder / 'locked' / 'b.png'):
            Image.new('RGB', (9, 9)).save(path)
            path.chmod(0)
        (folder / 'locked').chmod(0)

        def as_nobody():
            if os.geteuid() == 0:
                os.seteuid(65534)
            found = find_images(folder)
            assert list(found.values()) == [
                folder / 'a.png',
                folder / 'locked',
            ]
            with pytest.raises(PermissionError):
                check_image(folder / 'a.png')
            with pytest.raises(OSError):
                check_image(folder / 'locked')

        assert in_child(as_nobody) == 0
    finally:
        (folder / 'locked').chmod(0o700)
        shutil.rmtree(folder)


def test_the_network_may_fail_on_an_image(tiny, tmp_path, monkeypatch):
    """It is the image if the network still works on others."""
    photos = tmp_path / 'photos'
    photos.mkdir()
    for width in (20, 30, 40):
        Image.new('RGB', (width, 20)).save(photos / f'{width}.png')

    def fails(self, data):
        if data['inputs'][0].shape[-1] == 30:
            raise RuntimeError('not enough memory')
        return original(self, data)

    original = StandIn.test_step
    monkeypatch.setattr(StandIn, 'test_step', fails)
    manifest = export(*tiny, photos, tmp_path / 'maps', pictures=False)
    errors = [row.get('error') for row in manifest['images']]
    assert errors == [None, 'RuntimeError: not enough memory', None]


@pytest.mark.parametrize('orientation', range(1, 9))
def test_maps_and_overlay_turn_with_the_photograph(
    tiny, tmp_path, orientation
):
    path = tmp_path / 'a.jpg'
    path.write_bytes(rotated(orientation))
    image = Image.open(path)
    exif = image.getexif()
    image.resize((300, 180), Image.NEAREST).save(
        path, exif=exif, quality=95
    )  # large enough to be shown as it is
    seen = mmcv.imread(str(path))[..., ::-1]
    assert seen.shape == ((180, 300, 3) if orientation < 5 else (300, 180, 3))
    (row,) = export(*tiny, path, tmp_path / 'maps')['images']
    height, width = seen.shape[:2]
    assert (row['height'], row['width']) == (height, width)
    files = {k: tmp_path / 'maps' / f for k, f in row['files'].items()}
    shares = seen / 256
    classes = (shares.mean(2) * 4).astype(np.uint8)
    assert (np.asarray(Image.open(files['class'])) == classes).all()
    expected = 120 * shares[..., 2] ** 2 - 60  # blue is its channel
    assert np.allclose(np.load(files['epistemic']), expected, atol=1e-3)
    heights = np.asarray(Image.open(files['epistemic_png'])).astype(float)
    assert np.corrcoef(heights.ravel(), expected.ravel())[0, 1] > 0.99
    overlay = np.asarray(Image.open(files['overlay']))
    shown = overlay[TITLE_HEIGHT : TITLE_HEIGHT + height, :width]
    assert (shown == seen).all()
    in_report = decoded(photo_uri(path, (height, width)))
    assert np.abs(in_report - seen.astype(float)).mean() < 3


def decoded(uri):
    content = base64.b64decode(uri.split(',', 1)[1])
    return np.asarray(Image.open(io.BytesIO(content)))


def test_odd_pixels_are_as_the_loader_has_them(tiny, tmp_path):
    """Sixteen bits, CMYK, alpha: eight bits and three channels of it."""
    rng = np.random.default_rng(0)
    model = init_ddu(*tiny)
    for name, data in {
        'grey16.png': sixteen_bit('PNG'),
        'cmyk.jpg': encoded('JPEG', rng, 'CMYK'),
        'alpha.png': encoded('PNG', rng, 'RGBA'),
        'palette.png': encoded('PNG', rng, 'P'),
        'grey.png': encoded('PNG', rng, 'L'),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
        assert (loaded_pixels(model, path) == expected).all()
    for kind, suffix in [('PNG', '.png'), ('WEBP', '.webp')]:
        path = tmp_path / f'film{suffix}'
        path.write_bytes(animated(kind))
        assert loaded_pixels(model, path).max() < 20  # the first frame
    # Sixteen bits keep their eight high ones.
    deep = np.asarray(Image.open(tmp_path / 'grey16.png'))
    shown = loaded_pixels(model, tmp_path / 'grey16.png')[..., 0]
    assert np.abs(deep / 257 - shown).max() <= 1


@pytest.mark.parametrize(
    'image, expected',
    [
        (np.full((4, 5), 7, np.uint8), 7),
        (np.full((4, 5, 1), 7, np.uint8), 7),
        (np.full((4, 5, 4), 7, np.uint8), 7),
        (np.full((4, 5, 3), 7.0, np.float32), 7),
        (np.full((4, 5, 3), 7 << 8, np.uint16), 7),
    ],
)
def test_loaders_of_other_kinds(image, expected):
    pipeline = SimpleNamespace(transforms=[lambda results: dict(img=image)])
    pixels = loaded_pixels(SimpleNamespace(pipelines=[pipeline]), 'a.png')
    assert pixels.dtype == np.uint8 and pixels.shape == (4, 5, 3)
    assert (pixels == expected).all()
