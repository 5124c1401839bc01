"""From exported maps to the list of images."""

import json
import runpy
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mmseg_ddu.core.bounds import WORST
from tests.stand_in import CLASSES


def mean_of(folder, what):
    """Image to the mean of its map, from the files."""
    manifest = json.loads((folder / 'manifest.json').read_text())
    return {
        row['image']: np.load(folder / row['files'][what]).mean()
        for row in manifest['images']
    }


@pytest.mark.parametrize(
    'score, what',
    [
        (None, 'total'),
        ('entropy', 'aleatoric'),
        ('epistemic', 'epistemic_percentile'),
    ],
)
def test_images_by_the_mean_of_a_map(maps, rank, score, what):
    folder = maps(0)
    truth = mean_of(folder, what)
    report = rank(folder, score=score)
    order = sorted(truth, key=lambda image: -truth[image])
    assert [row['image'] for row in report['images']] == order
    for row in report['images']:
        assert row['score'] == pytest.approx(truth[row['image']], rel=1e-5)


def test_boxes_are_where_the_map_is_highest(maps, rank):
    folder = maps(0)
    manifest = json.loads((folder / 'manifest.json').read_text())
    files = {row['image']: row['files'] for row in manifest['images']}
    for row in rank(folder)['images']:
        values = np.load(folder / files[row['image']]['total'])
        count = int(np.ceil(0.02 * values.size))
        worst = values >= np.sort(values.ravel())[-count]
        parts, number = ndimage.label(worst, np.ones((3, 3)))
        sums = ndimage.sum(values, parts, range(1, number + 1))
        region = (parts == 1 + np.argmax(sums)).astype(int)
        ((tall, wide),) = ndimage.find_objects(region)
        left, top, width, height = row['box']
        assert (top, top + height) == (tall.start, tall.stop)
        assert (left, left + width) == (wide.start, wide.stop)
        assert row['predicted'] in CLASSES and row['label'] == ''


def map_of_a_square(folder, lost):
    """Of 60 x 60 pixels, 10 x 10 of them strange, some without a score."""
    manifest = json.loads((folder / 'manifest.json').read_text())
    row = manifest['images'][0]
    row.update(height=60, width=60)
    manifest['images'] = [row]
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    values = np.ones((60, 60), np.float32)
    values[30:40, 20:30] = 5
    values[lost] = WORST
    np.save(folder / row['files']['total'], values)
    classes = Image.fromarray(np.zeros((60, 60), np.uint8))
    classes.save(folder / row['files']['class'])


@pytest.mark.parametrize(
    'lost, box',
    [
        (np.s_[2:5, 50:53], [20, 30, 10, 10]),
        (np.s_[:, :], [0, 0, 60, 60]),
    ],
)
def test_pixels_without_a_score_draw_no_box(maps, rank, tmp_path, lost, box):
    folder = shutil.copytree(maps(0), tmp_path / 'other')
    map_of_a_square(folder, lost)
    assert list(rank(folder, budget=1)['images'][0]['box']) == box


def test_16_bit_maps_give_the_same_boxes(maps, rank):
    with_numbers = rank(maps(0))['images']
    pictures = rank(maps(0, formats=('png16',)), out='b.csv')['images']
    for one, other in zip(with_numbers, pictures):
        assert one['score'] == other['score']
        assert np.abs(np.subtract(one['box'], other['box'])).max() <= 8


def test_exports_without_maps_have_no_boxes(maps, rank, said, tmp_path):
    report = rank(maps(0, formats=()), formats=['cvat', 'labelstudio'])
    assert [row['box'] for row in report['images']] == [None] * 4
    assert 'Images without a box' in said[0]
    assert ',,,,,' in (tmp_path / 'review.csv').read_text()


def test_several_exports(maps, rank, said):
    report = rank(maps(0), maps(1) / 'manifest.json', budget=8)
    truth = mean_of(maps(0), 'total') | mean_of(maps(1), 'total')
    order = sorted(truth, key=lambda image: -truth[image])
    assert [row['image'] for row in report['images']] == order
    twice = rank(maps(0), maps(0), out='twice.csv', budget=9)
    assert len(twice['images']) == len(twice['left_out']) == 4
    assert 'in two exports' in said[0]
    assert 'there are only 4' in said[-1]


def changed(folder, target, change):
    shutil.copytree(folder, target)
    path = target / 'manifest.json'
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return target


def test_exports_of_different_fits_do_not_mix(maps, rank, tmp_path):
    other = changed(
        maps(1),
        tmp_path / 'other',
        lambda manifest: manifest.update(weights_sha256='f' * 64),
    )
    with pytest.raises(ValueError, match='weights_sha256 differ'):
        rank(maps(0), other)


@pytest.mark.parametrize('share', [0.6, 1.0])
def test_what_refused_pixels_are_predicted_as(maps, rank, tmp_path, share):
    """Their class, as long as one of the region is known."""
    rng = np.random.default_rng(0)
    other = changed(maps(0), tmp_path / 'other', lambda manifest: None)
    for path in (other / 'class').iterdir():
        classes = np.array(Image.open(path))
        classes[rng.random(classes.shape) < share] = 255
        Image.fromarray(classes).save(path)
    for row in rank(other)['images']:
        assert (row['predicted'] == 'refused') == (share == 1)


@pytest.mark.parametrize('formats', [(), ('cvat', 'fiftyone')])
@pytest.mark.parametrize('shares', [(), (0.0, 0.0), (0.0, 0.5)])
def test_refused_pixels_are_not_in_import_files(
    maps, rank, tmp_path, said, formats, shares
):
    """Which is said once, and only where there are some."""

    def refuse(manifest):
        for row, share in zip(manifest['images'], shares):
            row['refused_share'] = share

    rank(changed(maps(0), tmp_path / 'other', refuse), formats=formats)
    told = [line for line in said if 'Refused pixels of 1 of 4' in line]
    assert len(told) == bool(formats and any(shares))
    assert len(said) == len(told)


@pytest.mark.parametrize('what', ['class', 'total'])
def test_damaged_maps_are_named(maps, rank, tmp_path, what):
    other = changed(maps(0), tmp_path / 'other', lambda manifest: None)
    for path in (other / what).iterdir():
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf'other/{what}/.* is damaged'):
        rank(other)


@pytest.mark.parametrize('formats', [None, ()])
@pytest.mark.parametrize('gone', [False, True])
@pytest.mark.parametrize('budget', [2, 3])
def test_images_with_damaged_maps_are_left_out(
    maps, rank, tmp_path, said, formats, gone, budget
):
    """The next ones of the ranking take their places."""
    exported = maps(0, **({} if formats is None else dict(formats=formats)))
    other = shutil.copytree(exported, tmp_path / 'other')
    whole = [row['image'] for row in rank(other)['images']]
    rows = json.loads((other / 'manifest.json').read_text())['images']
    files = next(row['files'] for row in rows if row['image'] == whole[1])
    what = other / files['total' if formats is None else 'class']
    what.unlink() if gone else what.write_bytes(what.read_bytes()[:99])
    said.clear()
    report = rank(other, budget=budget, out='less.csv', formats=['cvat'])
    whole.pop(1)
    assert [row['image'] for row in report['images']] == whole[:budget]
    assert report['ranked'] == 3
    (left_out,) = report['left_out']
    assert str(what.relative_to(other)) in left_out['reason']
    assert left_out['image'] in said[0] and left_out['reason'] in said[0]
    assert len([line for line in said if 'is left out' in line]) == 1


def test_the_tool_names_what_is_left_out(maps, tmp_path, monkeypatch, capsys):
    other = shutil.copytree(maps(0), tmp_path / 'other')
    next((other / 'class').iterdir()).unlink()
    words = 'tool', other, '--for', 'review', '--out', tmp_path / 'a.csv'
    monkeypatch.setattr(sys, 'argv', list(map(str, words)))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path('tools/rank_images.py', run_name='__main__')
    assert stop.value.code == 1
    left_out = json.loads((tmp_path / 'a.json').read_text())['left_out']
    said = capsys.readouterr().out
    assert f'3 of 3 images listed, 1 left out: {left_out[0]["image"]}.' in said


@pytest.mark.parametrize('folder', ['a.csv', 'a.json', 'a_cvat.xml'])
def test_a_folder_in_the_place_of_the_list(rank, tmp_path, folder):
    """Which is said before any export is read."""
    (tmp_path / folder).mkdir()
    message = f'the file .*/{folder}: it is a folder. Name a file in it'
    with pytest.raises(IsADirectoryError, match=message):
        rank('absent', out='a.csv', formats=['cvat'])


def test_nothing_to_rank(rank, tmp_path):
    with pytest.raises(ValueError, match='at least one export to rank'):
        rank(out='absent/a.csv')
    assert not (tmp_path / 'absent').exists()


def test_images_that_were_not_exported(maps, rank, tmp_path):
    def spoil(manifest):
        manifest['images'][0] = dict(name='a', image='a.png', error='broken')
        manifest['images'][1]['total_mean'] = float('nan')

    report = rank(changed(maps(0), tmp_path / 'other', spoil), budget=2)
    reasons = [row['reason'] for row in report['left_out']]
    assert reasons == [
        "it was not exported: 'broken'",
        'its score is not a number',
    ]
    assert report['ranked'] == 2


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(score='energy'), "score of .* but got 'energy'"),
        (dict(split='val'), 'no split for review'),
        (dict(overlap=True), 'no overlap for review'),
        (dict(purpose='labelling', temperature=-1), 'temperature of 0'),
        (dict(purpose='label-errors', score='total'), 'no score for label'),
        (dict(purpose='label-errors'), 'give CONFIG and CHECKPOINT'),
    ],
)
def test_options_of_other_purposes(maps, rank, options, match):
    with pytest.raises(ValueError, match=match):
        rank(maps(0), **options)


def test_what_is_no_export(stand_in, rank, tmp_path):
    with pytest.raises(ValueError, match='is not exported maps'):
        rank(*stand_in)
    with pytest.raises(FileNotFoundError, match='export_uncertainty'):
        rank(tmp_path)


def test_scores_that_an_export_lacks(maps, rank, tmp_path):
    def of_dropout(manifest):
        for row in manifest['images']:
            del row['epistemic_percentile_mean']

    folder = changed(maps(0), tmp_path / 'other', of_dropout)
    assert rank(folder)['ranked'] == 4
    with pytest.raises(ValueError, match='lacks epistemic_percentile_mean'):
        rank(folder, score='epistemic')


def test_an_export_that_was_stopped(maps, rank, tmp_path, said):
    other = changed(
        maps(0),
        tmp_path / 'other',
        lambda manifest: manifest.update(complete=False),
    )
    rank(other)
    assert any('is of an export that was stopped' in line for line in said)


def test_a_score_that_is_no_number(maps, rank, tmp_path):
    def spoil(manifest):
        manifest['images'][0]['epistemic_percentile_mean'] = None

    other = changed(maps(0), tmp_path / 'other', spoil)
    with pytest.raises(ValueError, match='other/manifest.json is damaged'):
        rank(other, score='epistemic')
