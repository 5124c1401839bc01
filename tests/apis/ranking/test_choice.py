"""Which of the ranked images are taken."""

import shutil

import numpy as np
import pytest

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis.kept_parts import parts_folder
from mmseg_ddu.apis.ranking.choice import choose, mean_features
from mmseg_ddu.apis.ranking.exported_images import overlap_weight
from mmseg_ddu.apis.ranking.found_images import FoundImages
from mmseg_ddu.apis.ranking.ranked_image import RankedImage

from .test_exported_images import changed


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


@pytest.mark.parametrize('beyond', [0, 1, 4])
def test_overlap_that_takes_all_of_a_score(maps, rank, tmp_path, said, beyond):
    def strange(manifest):
        for number, row in enumerate(manifest['images']):
            row['image_novelty_percentile'] = float(number < beyond)

    folder = changed(maps(0), tmp_path / 'other', strange)
    rank(folder, purpose='labelling')
    assert not said
    rank(folder, purpose='labelling', overlap=True)
    assert len(said) == bool(beyond)
    for line in said:
        assert f'{beyond} of 4 listed images have a score of 0' in line
        assert 'leave --overlap out' in line


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
    found = FoundImages([], {}, images)
    features = mean_features(found, plain_cfg, fitted, parts)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1)
    assert len(list(parts.glob('*.npz'))) == 4
    order = choose(images, 4, 0.0, 0, features)
    assert order[0] is images[0] and order[-1] is images[1]


def test_images_that_are_gone_are_left_out(
    maps, rank, plain_cfg, checkpoint, tmp_path
):
    """One has no image any more, another one no map."""

    def lose(manifest):
        gone.append(manifest['images'][1]['image'] + '.gone')
        manifest['images'][1]['image'] = gone[0]
        gone.append(manifest['images'][2]['image'])
        (tmp_path / 'other' / manifest['images'][2]['files']['total']).unlink()

    gone: list[str] = []
    folder = changed(maps(0), tmp_path / 'other', lose)
    fitted = fit_gda(plain_cfg, checkpoint, save_every=None)
    report = rank(folder, purpose='labelling', diverse=(plain_cfg, fitted))
    assert [row['image'] for row in report['left_out']] == gone
    assert 'FileNotFoundError' in report['left_out'][0]['reason']
    assert report['ranked'] == len(report['images']) == 2


def test_a_file_in_the_place_of_the_parts(tmp_path):
    (tmp_path / 'parts').write_text('')
    with pytest.raises(OSError, match='Cannot write into .*parts: '):
        parts_folder(tmp_path / 'parts', {}, '')
