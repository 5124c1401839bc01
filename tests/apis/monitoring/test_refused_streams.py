"""Streams that the monitor refuses, and those it bears."""

import pytest

from mmseg_ddu.apis import DriftMonitor

from .manifests import rows, write


def test_going_back_in_time_is_refused(tmp_path, reference, state):
    images = rows(9, seed=2)
    one, two, three = (
        write(tmp_path / f'{n}', images[3 * n : 3 * n + 3]) for n in range(3)
    )
    DriftMonitor(state, reference).watch([one, two])
    before = state.read_text()
    backwards = write(tmp_path / 'backwards', images[2::-1])
    for stream in ([two, one], [three, one], [backwards]):
        with pytest.raises(ValueError, match='goes back in time: a000'):
            DriftMonitor(state, reference).watch(stream)
    with pytest.raises(ValueError, match='a0006 comes twice'):
        DriftMonitor(state, reference).watch([three, three])
    assert state.read_text() == before
    assert len(DriftMonitor(state, reference).watch([two, three])) == 3


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(weights_sha256='c' * 64), 'weights_sha256 differ'),
        (dict(config_sha256='c' * 64), 'config_sha256 differ'),
        (dict(tta=True), 'tta differ'),
        (
            dict(classes=['road', 'dog', 'tree']),
            r"classes \(number 1 is 'dog' and 'cat'\) differ",
        ),
        (
            dict(classes=['road', 'cat', 'tree', 'sky']),
            r"classes \(number 3 is 'sky' and None\) differ",
        ),
        (dict(weights_sha256=None), 'does not say which checkpoint'),
        (dict(images=[]), 'lists no exported image'),
        (dict(images=7), 'damaged'),
    ],
)
def test_manifests_that_are_refused(
    changes, message, tmp_path, reference, state
):
    good = write(tmp_path / 'good', rows(3, seed=2))
    bad = write(tmp_path / 'bad', rows(3, seed=3, prefix='b'))
    write(bad, **{'images': rows(3, seed=3, prefix='b'), **changes})
    for stream in ([good, bad], [bad]):
        with pytest.raises(ValueError, match=message):
            DriftMonitor(state, reference).watch(stream)
    assert not state.exists()


@pytest.mark.parametrize(
    'name', ['unusual_share', 'image_novelty', 'class_pixels']
)
def test_a_model_without_densities(name, tmp_path, state):
    images = rows(2, seed=2)
    del images[1][name]
    with pytest.raises(ValueError, match=f'lacks {name}: it is of a model'):
        DriftMonitor(state).watch(write(tmp_path / 'a', images))


@pytest.mark.parametrize(
    'changes',
    [
        dict(image_novelty=float('nan')),
        dict(image_novelty=10**400),
        dict(unusual_share=-(10**400)),
        dict(lost_share=10**400),
        dict(unusual_share=float('inf')),
        dict(name='\udcff'),
        *(
            dict(image_statistics=[*place * [0.5], value, *(19 - place) * [1]])
            for place, value in (
                (0, float('nan')),
                (7, float('nan')),
                (7, float('inf')),
                (19, 10**400),
                (7, 1.7e308),
            )
        ),
        dict(class_pixels={}),
    ],
)
def test_odd_numbers_and_names(changes, tmp_path, reference, state):
    images = rows(2, seed=2)
    images[0].update(changes)
    lines = DriftMonitor(state, reference).watch(write(tmp_path / 'a', images))
    assert len(lines) == 2
    absent = 'image_statistics' in changes
    assert [len(line['fine']) for line in lines] == [0 if absent else 3, 3]
    text = state.with_suffix('.jsonl').read_text() + state.read_text()
    assert 'NaN' not in text and 'Infinity' not in text


@pytest.mark.parametrize(
    'changes',
    [
        dict(class_pixels={'-1': 3}),
        dict(class_pixels={'1': -3}),
        dict(class_pixels=[1]),
        dict(class_pixels={'1': 10**400}),
        dict(height=10**400),
        dict(lost_share='1'),
        dict(name=7),
        dict(image_statistics=[1.0]),
        dict(image_statistics=[1.0] * 19),
        dict(image_statistics=[1.0] * 6),  # sound, but not as the others'
        dict(image_statistics=['1'] * 20),
        dict(files={'class': '../class/a.png'}),
        dict(files={'class': 'class/../../a.png'}),
    ],
)
def test_hostile_rows(changes, tmp_path, state):
    images = rows(2, seed=2)
    images[0].update(changes)
    with pytest.raises(ValueError, match='damaged|outside'):
        DriftMonitor(state).watch(write(tmp_path / 'a', images))


@pytest.mark.parametrize(
    'classes, number, good',
    [
        (['road', 'cat', 'tree'], 2, True),
        (['road', 'cat', 'tree'], 3, False),
        (['road', 'cat', 'tree'], 200, False),
        (['cat'], 1, True),  # of a binary network
        ([], 200, True),  # then no class is watched
    ],
)
def test_numbers_of_other_classes(classes, number, good, tmp_path, state):
    images = rows(2, seed=2)
    images[1]['class_pixels'] = {'0': 5, str(number): 3}
    images[0]['class_pixels'] = {'0': 8}
    folder = write(tmp_path / 'a', images, classes=classes)
    if good:
        assert len(DriftMonitor(state).watch(folder)) == 2
        return
    message = f'a/manifest.json has pixels of a class {number}, but names'
    with pytest.raises(ValueError, match=message):
        DriftMonitor(state).watch(folder)


def test_statistics_of_other_channels(tmp_path, reference, state):
    """An image of C channels has 7 C - 1."""
    grey = [dict(x, image_statistics=[1.0] * 6) for x in rows(2, seed=2)]
    grey = write(tmp_path / 'grey', grey)
    none = [dict(x, image_statistics=[]) for x in rows(2, seed=3)]
    none = write(tmp_path / 'none', none)
    color = write(tmp_path / 'color', rows(2, seed=4, prefix='b'))
    message = 'as .*lengths of image_statistics differ'
    with pytest.raises(
        ValueError, match=f'color/manifest.json was.*{message}'
    ):
        DriftMonitor(state).watch([none, grey, color])
    with pytest.raises(ValueError, match=f'The stream was .*{message}'):
        DriftMonitor(state, reference).watch([none, grey])
    assert len(DriftMonitor(state, reference).watch([none, color])) == 4


def test_a_reference_of_the_stream(tmp_path, reference, state):
    with pytest.raises(ValueError, match='r0000 is also in the reference'):
        DriftMonitor(state, reference).watch(reference)


def test_a_reference_twice(tmp_path, reference, state):
    with pytest.raises(ValueError, match='is twice in the reference'):
        DriftMonitor(state, [reference, reference])


@pytest.mark.parametrize('rate', [0, 1, -1, float('nan')])
def test_a_rate_that_is_none(rate, tmp_path, reference, state):
    with pytest.raises(ValueError, match='rate above 0 and below 1'):
        DriftMonitor(state, reference, false_alarms=rate).watch(
            write(tmp_path / 'a', rows(1, seed=2))
        )
