"""Manifests, maps and results from elsewhere."""

import json
import shutil

import numpy as np
import pytest

from mmseg_ddu.apis import write_report
from mmseg_ddu.apis.compare.results_file import read_results
from mmseg_ddu.apis.html_report.browser_data import browser
from tests import hostile

from .test_page import Reader

EVIL = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'


@pytest.fixture
def folder(exports, tmp_path):
    """A copy of an export that may be spoiled."""
    target = tmp_path / 'maps'
    shutil.copytree(exports['red'], target)
    return target


def change(folder, edit):
    path = folder / 'manifest.json'
    manifest = json.loads(path.read_text())
    edit(manifest, manifest['images'][0])
    path.write_text(json.dumps(manifest))


def test_names_do_not_become_html(folder, compared, tmp_path):
    def edit(manifest, row):
        manifest['classes'] = [EVIL] * len(manifest['classes'])
        for score in manifest['maps'].values():
            score['unit'] = EVIL
        name = f'class/{EVIL.replace("/", "")}.png'
        shutil.copy(folder / row['files']['class'], folder / name)
        row['files']['class'] = name

    change(folder, edit)
    results = json.loads((compared / 'results.json').read_text())
    entries = list(results['methods'].values())
    results['methods'] = {EVIL: entries[0], 'b': dict(error=EVIL)}
    results['protocol']['config'] = EVIL
    (tmp_path / 'results.json').write_text(json.dumps(results))
    plain = write_report(compared, maps=dict(a=folder), out=tmp_path / 'a')
    out = tmp_path / 'b'
    write_report(tmp_path, maps={EVIL: folder}, title=EVIL, out=out)
    text = out.read_text()
    assert text.count('<script') == plain.read_text().count('<script')
    assert '<img src=x' not in text and 'alert(1)' in text
    links = Reader(text).links
    assert all(link.startswith(('data:', '#')) for link in links)


@pytest.mark.parametrize('place', ['../secret.npy', 'absolute', 'link'])
def test_no_file_outside_the_folder(place, folder, tmp_path):
    secret = tmp_path / 'secret.npy'
    np.save(secret, np.zeros((48, 48), np.float32))
    if place == 'absolute':
        place = str(secret)
    elif place == 'link':
        (folder / 'link').symlink_to(secret)
    change(folder, lambda m, row: row['files'].update(epistemic=place))
    with pytest.raises(ValueError, match='outside its folder'):
        browser(dict(a=folder))


@pytest.mark.parametrize('key', ['class', 'overlay', 'total_percentile_png'])
def test_files_that_are_not_shown_are_looked_at_too(key, folder):
    """Before any file of the export is read."""

    def edit(manifest, first):
        for row in manifest['images'][1:]:
            row['image'] = '/absent.png'
        manifest['images'][-1]['files'][key] = 'class/../../secret.png'

    change(folder, edit)
    with pytest.raises(ValueError, match='secret.png, outside its folder'):
        browser(dict(a=folder), max_images=1)


def test_maps_are_not_unpickled(folder, tmp_path):
    """Nor do their headers get the memory that they ask for."""
    row = json.loads((folder / 'manifest.json').read_text())['images'][0]
    file = folder / row['files']['epistemic']
    marker = tmp_path / 'marker'
    evil = np.empty((row['height'], row['width']), object)
    evil.fill(hostile.shell(marker))
    np.save(file, evil, allow_pickle=True)
    with pytest.raises(ValueError):
        browser(dict(a=folder))
    assert not marker.exists()
    np.load(file, allow_pickle=True)
    assert marker.exists()  # so it could have

    with open(file, 'wb') as stream:
        header = dict(descr='<f4', fortran_order=False, shape=(10**7, 10**7))
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(b'0' * 64)
    with pytest.raises(ValueError):
        browser(dict(a=folder))
    np.save(file, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match='not of the size'):
        browser(dict(a=folder))


DAMAGES = [
    lambda m, row: m.update(classes=None),
    lambda m, row: m.update(classes=[3]),
    lambda m, row: m.update(palette=[['url(x)', 0, 0]]),
    lambda m, row: m.update(palette=[[0, 0, 256]]),
    lambda m, row: m.update(maps=[]),
    lambda m, row: m['maps'].pop('total'),
    lambda m, row: m['maps']['total_percentile'].update(png_low='0'),
    lambda m, row: m.update(images=3),
    lambda m, row: m['images'].append(3),
    lambda m, row: m['images'].append('a'),
    lambda m, row: m.update(images={'a': row}),
    lambda m, row: m.update(classes={'a': 1}),
    lambda m, row: m.update(palette=[[True, 0, 0]]),
    lambda m, row: row.update(height=48.0),
    lambda m, row: row.update(files=[]),
    lambda m, row: row['files'].pop('class'),
    lambda m, row: row['files'].update({'class': '/class/a.png'}),
    lambda m, row: row['files'].update(total_percentile=3),
    lambda m, row: row.update(height=10**9),
    lambda m, row: row.update(height=10**400),
    lambda m, row: m.update(palette=[[0, 0, 10**400]]),
    lambda m, row: row.update(width='48'),
    lambda m, row: row.update(image=None),
    lambda m, row: row.update(epistemic_mean='<b>'),
    lambda m, row: row.update(unusual_share=[1]),
    lambda m, row: row.update(image_novelty='<b>'),
    lambda m, row: row.update(image_novelty_percentile=True),
]


@pytest.mark.parametrize('edit', DAMAGES)
def test_damaged_manifests(edit, folder):
    change(folder, edit)
    with pytest.raises(ValueError, match='is damaged'):
        browser(dict(a=folder))


@pytest.mark.parametrize(
    'edit',
    [
        lambda m, row: row.update(unusual_share=10**400),
        lambda m, row: row.update(image_novelty=-(10**400)),
        lambda m, row: m['maps']['total'].update(png_high=10**400),
    ],
)
def test_numbers_beyond_all_bounds_are_shown_or_not(edit, folder, tmp_path):
    change(folder, edit)
    write_report(folder, out=tmp_path / 'a.html')


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        '{"protocol": {}, "methods": {}}',
        '{"protocol": 3, "methods": {"a": {}}}',
        '[' * 100_000,
        '{"protocol": {"images": {"plain": 1}, "config": "a", "stride": 4},'
        ' "methods": {"a": {"shifts": 3}}}',
    ],
)
def test_damaged_results(text, tmp_path, folder):
    (tmp_path / 'results.json').write_text(text)
    with pytest.raises(ValueError, match='no results of a comparison'):
        read_results(tmp_path)
    (folder / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match='is damaged'):
        browser(dict(a=folder))
