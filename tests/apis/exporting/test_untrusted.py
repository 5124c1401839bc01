"""What an earlier run left may have been written by anybody."""

from __future__ import annotations

import json

import pytest

from mmseg_ddu.apis import export

from .checks import contents, stopped

HOSTILE_ROWS = [
    dict(name='0', files={'class': '../../outside.png'}),
    dict(name='../outside', image='x', files={}),
    dict(name=['0']),
    dict(name={'a': 1}),
    ['0'],
    '0',
    0,
    None,
    dict(),
]


def test_nothing_in_a_journal_is_trusted(tiny, photos, tmp_path):
    """Least of all its paths."""
    out = tmp_path / 'maps'
    outside = tmp_path / 'outside.png'
    outside.write_text('mine')
    stopped(tiny, photos, out)
    header, *lines = (out / 'manifest.jsonl').read_bytes().splitlines()
    good = json.loads(lines[0])
    twisted = [
        dict(good, files=dict(good['files'], overlay='../../outside.png')),
        dict(good, files=dict(good['files'], overlay=str(outside))),
        dict(good, height='20'),
        dict(good, height=True),
        dict(good, width=10**30),
        dict(good, epistemic_mean=None),
        dict(good, image='/etc/passwd'),
        dict(good, class_pixels={'0': -1}),
        dict(good, class_pixels=[1]),
        dict(good, more=1),
    ]
    lines = [json.dumps(row).encode() for row in HOSTILE_ROWS + twisted]
    lines += [b'[' * 100_000, b'\xff\xfe', b'1' * 5000, b'{"name": "0"']
    (out / 'manifest.jsonl').write_bytes(b'\n'.join([header, *lines]))
    (out / 'manifest.1.jsonl').symlink_to(outside)
    export(*tiny, photos, out, resume=True)
    export(*tiny, photos, tmp_path / 'whole')
    assert contents(out) == contents(tmp_path / 'whole')
    assert outside.read_text() == 'mine'


@pytest.mark.parametrize('text', ['', '{"tta": fal', '[]', '[' * 100_000])
def test_a_damaged_header(tiny, photos, tmp_path, text):
    out = tmp_path / 'maps'
    stopped(tiny, photos, out)
    (out / 'manifest.jsonl').write_text(text)
    with pytest.raises(ValueError, match='damaged.*--overwrite'):
        export(*tiny, photos, out, resume=True)
    (out / 'manifest.jsonl').unlink()
    (out / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match='damaged.*--overwrite'):
        export(*tiny, photos, out, resume=True)


@pytest.mark.parametrize('images', [5, {'0': 1}, 'abc', None, [5, None]])
def test_a_manifest_of_nonsense(tiny, photos, tmp_path, images):
    out = tmp_path / 'maps'
    manifest = export(*tiny, photos, out, pictures=False)
    text = json.dumps(dict(manifest, images=images))
    (out / 'manifest.json').write_text(text)
    assert manifest == export(*tiny, photos, out, pictures=False, resume=True)


def test_links_in_the_output_folder_are_refused(tiny, photos, tmp_path):
    out, outside = tmp_path / 'maps', tmp_path / 'outside'
    out.mkdir()
    outside.mkdir()
    (out / 'class').symlink_to(outside)
    (outside / '.tmp-abcd_123.png').write_text('mine')
    with pytest.raises(ValueError, match='not in the output folder'):
        export(*tiny, photos, out, overwrite=True)
    assert [path.name for path in outside.iterdir()] == ['.tmp-abcd_123.png']


def test_only_temporary_files_of_ours_are_removed(tiny, photos, tmp_path):
    out = tmp_path / 'maps'
    export(*tiny, photos, out)
    left = [
        out / '.tmp-abcd_123.json',
        out / 'class' / '.tmp-abcd_123.png',
        out / 'epistemic' / 'below' / '.tmp-abcd_123.npy',
    ]
    kept = [
        out / '.tmp-notes.txt',
        out / 'mine' / '.tmp-abcd_123.png',
        out / 'class' / 'notes.txt',
    ]
    (out / 'mine').mkdir()
    for path in left + kept:
        path.write_text('')
    export(*tiny, photos, out, resume=True)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
