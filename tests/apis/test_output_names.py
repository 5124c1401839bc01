"""Outputs of different images are different files, on any file system."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePath

import pytest

from mmseg_ddu.apis import image_files
from mmseg_ddu.apis.image_files import find_images, output_names
from mmseg_ddu.apis.image_sources import Source, iter_sources


def names(*paths):
    files = [Path('photos', path) for path in paths]
    return list(output_names([PurePath(path) for path in paths], files))


def outputs(name):
    """What a name becomes where upper and lower case are the same."""
    key = unicodedata.normalize('NFD', name).lower()
    return [f'{key}.npy', f'{key}.png', f'{key}_heat.png']


def test_ordinary_names_are_kept():
    assert names('a.jpg', 'b/a.jpg', 'c d.é.png') == ['a', 'b/a', 'c d.é']
    assert names('a.jpg', 'a.png') == ['a.jpg', 'a.png']


def test_names_of_a_folder(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        (tmp_path / name).write_bytes(b'')
    assert sorted(find_images(tmp_path)) == ['a.jpg', 'a.png', 'b']
    listed = find_images([tmp_path / 'b.jpg', tmp_path / 'a.png'])
    assert sorted(listed) == ['a', 'b']


@pytest.mark.parametrize(
    'paths',
    [
        ('a.jpg', 'a.png', 'a.jpg.png', 'a.png.png'),
        ('A.jpg', 'a.jpg'),
        ('A/x.jpg', 'a/X.jpg'),
        ('caf\u00e9.png', 'cafe\u0301.png'),
        ('a.jpg', 'a_heat.jpg', 'a_heat_heat.jpg'),
        ('a_heat.jpg', 'a.jpg'),
        ('a.jpg', 'a.png/b.jpg', 'a_heat.png/b.jpg', 'a.npy/b.jpg'),
        ('a.png/b.jpg', 'a.jpg'),
        ('x' * 250 + '1.png', 'x' * 250 + '2.png'),
        ('/'.join(['y' * 240] * 8) + '/1.png', '1.png'),
        ('..png', '...png', '..', '.'),
    ],
)
def test_no_two_images_write_one_file(paths):
    found = names(*paths)
    files = [file for name in found for file in outputs(name)]
    assert len(set(files)) == len(files)
    # A file of one is not the folder of another.
    folders = {
        str(parent).lower()
        for name in found
        for parent in PurePath(name).parents
    }
    assert not folders & set(files)
    for name in found:
        parts = PurePath(f'{name}_heat.png').parts
        assert '..' not in parts and not PurePath(name).is_absolute()
        assert max(len(os.fsencode(part)) for part in parts) <= 255


def test_a_digest_that_was_foreseen():
    """Whoever names a file like the digest of another gets a digest too."""
    _, second = names('A.jpg', 'a.jpg')
    found = names(f'{second}.jpg', 'A.jpg', 'a.jpg')
    assert len(set(found)) == 3


def test_lists_with_equal_names(tmp_path):
    """None may be lost, and one that is there twice is one."""
    files = [tmp_path / 'a.png', tmp_path / 'b' / 'a.png']
    found = find_images([*files, files[0]])
    assert list(found.values()) == files
    assert next(iter(found)) == 'a.png'


def test_names_of_streams_are_unique(monkeypatch):
    from mmseg_ddu.apis import image_sources

    given = ['a', 'a', 'a_1', 'a_1', 'a']
    monkeypatch.setattr(
        image_sources,
        '_sources',
        lambda *_: (Source(name, None) for name in given),
    )
    found = [source.name for source in iter_sources(None)]
    assert found[:2] == ['a', 'a_1'] and len(set(found)) == 5


def test_naming_looks_at_no_name_twice(monkeypatch):
    """Work grows with the number of images, not with its square."""
    keys = []
    key = image_files._key
    monkeypatch.setattr(
        image_files, '_key', lambda name: keys.append(name) or key(name)
    )
    paths = [f'{index % 40}/image_{index}.jpg' for index in range(2_000)]
    assert len(set(names(*paths))) == 2_000
    assert len(keys) <= 3 * 2_000
