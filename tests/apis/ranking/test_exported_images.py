"""From exported maps to the list of images."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mmseg_ddu.apis import fit_gda, rank_images
from mmseg_ddu.apis.ranking.choice import choose, mean_features
from mmseg_ddu.apis.ranking.exported_images import overlap_weight
from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.core.bounds import WORST
from tests.stand_in import CLASSES


@pytest.fixture
def rank(tmp_path):
    def run(*sources, purpose='review', out='review.csv', **options):
        options = {'budget': 4, **options}
        return rank_images(
            *sources, purpose=purpose, out=tmp_path / out, **options
        )

    return run


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
        lambda manifest: manifest.update(checkpoint_sha256='f' * 64),
    )
    with pytest.raises(ValueError, match='checkpoint_sha256 differ'):
        rank(maps(0), other)


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


def test_overlap_leaves_strange_images_aside(maps, rank, tmp_path):
    novelty = 'image_novelty_percentile'

    def broken(manifest):
        rows = manifest['images']
        first = max(rows, key=lambda row: row['total_mean'])
        for row in rows:
            row[novelty] = 0.995
        first[novelty] = 1.0

    folder = changed(maps(0), tmp_path / 'other', broken)
    plain = rank(folder, purpose='labelling')['images']
    weighed = rank(folder, purpose='labelling', overlap=True)['images']
    assert weighed[-1]['image'] == plain[0]['image']
    assert weighed[-1]['score'] == 0
    assert weighed[0]['score'] == pytest.approx(0.5 * plain[1]['score'])


def test_only_the_rarest_count_less():
    """A tenth of a rarity takes a tenth of it; all else is whole."""
    shares = [-1, 0, 0.5, 0.9, 0.91, 0.99, 1, 2]
    weights = [overlap_weight(share, rare=0.1) for share in shares]
    assert weights == pytest.approx([1, 1, 1, 1, 0.9, 0.1, 0, 0])
    ordinary = np.random.default_rng(0).random(100_000)
    mean = np.mean([overlap_weight(share, 0.1) for share in ordinary])
    assert mean == pytest.approx(1 - 0.1 / 2, abs=2e-3)
    assert np.isnan(overlap_weight(float('nan')))


def images_of(scores):
    return [RankedImage(str(n), s, (1, 1), list) for n, s in enumerate(scores)]


@pytest.mark.parametrize('temperature', [0.5, 1.0, 2.0])
def test_draws_have_the_stated_chances(temperature):
    scores = np.array([0.1, 0.5, 1.0, 3.0, 0.0])
    first = [
        int(choose(images_of(scores), 1, temperature, seed)[0].image)
        for seed in range(4000)
    ]
    shares = np.bincount(first, minlength=5) / len(first)
    chances = scores ** (1 / temperature)
    assert shares == pytest.approx(chances / chances.sum(), abs=0.03)


def test_a_draw_is_seeded_and_without_chance_the_highest_come(maps, rank):
    draws = [
        [
            row['image']
            for row in rank(
                maps(0),
                maps(1),
                purpose='labelling',
                budget=3,
                temperature=5.0,
                seed=seed,
            )['images']
        ]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert draws[0] == draws[1]
    assert len(set(map(tuple, draws))) > 1
    assert all(len(set(draw)) == 3 for draw in draws)
    ordered = choose(images_of([1, 3, 2]), 2, 0.0, 0)
    assert [each.image for each in ordered] == ['1', '2']


def test_images_that_are_far_apart():
    """Against all products, by a loop."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = rng.random(30)
    images = images_of(scores)
    expected = [int(scores.argmax())]
    for _ in range(7):
        values = [
            -1
            if place in expected
            else scores[place]
            * min(1, *(1 - features[place] @ features[k] for k in expected))
            for place in range(30)
        ]
        expected.append(int(np.argmax(values)))
    chosen = choose(images, 8, 0.0, 0, features)
    assert [int(each.image) for each in chosen] == expected


def test_the_same_image_twice_is_taken_last(
    plain_cfg, checkpoint, sample_root, tmp_path
):
    fitted = fit_gda(plain_cfg, checkpoint, save_every=None)
    paths = sorted(sample_root.rglob('val_*.jpg'))[:3]
    copy = shutil.copyfile(paths[0], tmp_path / 'copy.jpg')
    images = [
        RankedImage(str(path), 1.0 - n / 1000, (48, 48), list)
        for n, path in enumerate([paths[0], copy, *paths[1:]])
    ]
    parts = tmp_path / 'parts'
    features = mean_features(images, plain_cfg, fitted, parts)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1)
    assert len(list(parts.glob('*.npz'))) == 4
    order = choose(images, 4, 0.0, 0, features)
    assert order[0] is images[0] and order[-1] is images[1]


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
