"""Images that fail, come again, or have changed since."""

import json
import re

import pytest

from mmseg_ddu.apis import DriftMonitor

from .manifests import rows, write


def failed(name='cam', why='cut off'):
    return dict(name=name, image=f'photos/{name}.jpg', error=why)


def names_in(state):
    lines = state.with_suffix('.jsonl').read_text().splitlines()
    return [json.loads(line)['name'] for line in lines]


def test_each_day_may_have_the_same_broken_image(tmp_path, reference, state):
    days = [
        write(tmp_path / p, [failed(), *rows(2, seed=n, prefix=p), failed()])
        for n, p in enumerate('abc')
    ]
    lines = DriftMonitor(state, reference).watch(days[0])
    assert [line.get('error') for line in lines] == ['cut off', None, None] + [
        'cut off'
    ]
    for stream in (days[:2], days[2], days, days[1]):
        DriftMonitor(state, reference).watch(stream)
    expected = [['cam', f'{p}0000', f'{p}0001', 'cam'] for p in 'abc']
    assert names_in(state) == sum(expected, [])
    # Given twice at once, or with images that came later.
    write(days[2], [failed(), *rows(4, seed=2, prefix='c'), failed()])
    new = DriftMonitor(state, reference).watch([*days, days[0]][1:3])
    assert [line['name'] for line in new] == ['c0002', 'c0003']


def test_days_without_any_image(tmp_path, reference, state):
    """An outage is left-out images; the monitor goes on behind it."""
    dark = [write(tmp_path / p, [failed(), failed('b')]) for p in 'xy']
    first = write(tmp_path / 'first', rows(3, seed=1))
    later = write(tmp_path / 'later', rows(3, seed=2, prefix='b'))
    for stream in (dark[0], [dark[0], dark[0], first, dark[1]], later, dark):
        DriftMonitor(state, reference).watch(stream)
    DriftMonitor(state, reference).watch([*dark, first, later, dark[0]])
    good = [f'{p}000{n}' for p in 'ab' for n in range(3)]
    assert names_in(state) == ['cam', 'b', *good[:3], 'cam', 'b', *good[3:]]
    with pytest.raises(ValueError, match='no image with numbers; give a ref'):
        DriftMonitor(state, dark)


def test_the_reference_may_have_the_same_broken_image(tmp_path, state):
    ordinary = write(tmp_path / 'r', [failed(), *rows(60, prefix='r')])
    day = write(tmp_path / 'day', [failed(), *rows(2, seed=2)])
    assert len(DriftMonitor(state, ordinary).watch(day)) == 3
    # The reference is the images that could be read.
    write(ordinary, rows(60, prefix='r'))
    assert DriftMonitor(state, ordinary).watch(day) == []


def test_a_camera_that_stands_still(tmp_path, reference, state):
    monday = write(tmp_path / 'mon', rows(3, seed=2))
    tuesday = rows(2, seed=3, prefix='b')
    tuesday = write(tmp_path / 'tue', [*tuesday, *rows(3, seed=2)[2:]])
    message = (
        f'a0002 comes twice with the same numbers, in {monday}/manifest.json '
        f'and in {tuesday}/manifest.json: an export was given twice, or a '
        'camera stands still. Give each export once'
    )
    monitor = DriftMonitor(state, reference)
    with pytest.raises(ValueError, match=re.escape(message)):
        monitor.watch([monday, tuesday])
    monitor.watch(monday)
    with pytest.raises(ValueError, match=re.escape(message)):
        monitor.watch([monday, tuesday])
    with pytest.raises(ValueError, match='a0002 of .* if a camera stands st'):
        monitor.watch(tuesday)
    write(tuesday, rows(2, seed=3, prefix='b'))
    assert len(monitor.watch([monday, tuesday])) == 2


def test_an_image_that_was_completed_since(tmp_path, reference, state):
    whole = rows(5, seed=2)
    day = write(tmp_path / 'day', [*whole[:2], failed('a0002'), *whole[3:]])
    later = write(tmp_path / 'later', rows(2, seed=3, prefix='b'))
    DriftMonitor(state, reference).watch([day, later])
    write(day, whole)
    new = DriftMonitor(state, reference).watch([day, later])
    assert [(x['name'], 'p' in x) for x in new] == [('a0002', True)]
    for stream in ([day, later], day, later):
        assert DriftMonitor(state, reference).watch(stream) == []
    with pytest.raises(ValueError, match='a0000 comes twice'):
        DriftMonitor(state, reference).watch([day, later, day])
    with pytest.raises(ValueError, match='goes back in time: a0000'):
        DriftMonitor(state, reference).watch([later, day])


def test_a_number_that_has_changed_since(tmp_path, reference, state):
    def rows_with(novelty):
        images = rows(4, seed=2)
        images[2]['image_novelty'] = novelty
        return images

    images = rows_with(5.0)
    day = write(tmp_path / 'day', images)
    DriftMonitor(state, reference).watch(day)
    before = state.read_text()
    # In digits that are not ranked: the same image.
    images[2]['image_novelty'] = 5.00000001
    write(day, images)
    assert DriftMonitor(state, reference).watch(day) == []
    message = 'a0002 of .*manifest.json has changed since it was taken in: '
    for value, why in ((5.002, 'if a camera stands'), (9, 'if it is another')):
        images[2]['image_novelty'] = value
        write(day, images)
        number = f'image_novelty was 5.0 and is {value}.*{why}'
        with pytest.raises(ValueError, match=message + number):
            DriftMonitor(state, reference).watch(day)
    # Nothing known behind it: almost the same is not ranked once more.
    images[2]['image_novelty'] = 5.002
    alone = write(tmp_path / 'alone', [images[2]])
    with pytest.raises(ValueError, match=f'{message}image_novelty was 5.0 '):
        DriftMonitor(state, reference).watch(alone)
    with pytest.raises(ValueError, match=f'{message}image_novelty was 5.0 '):
        DriftMonitor(tmp_path / 'b.json').watch(
            [write(tmp_path / 'then', rows_with(5.0)), alone]
        )
    assert state.read_text() == before
    # A name may come again each day.
    other = write(tmp_path / 'other', rows(4, seed=9))
    assert len(DriftMonitor(state, reference).watch([other])) == 4
