"""What the monitor finds, and what it says."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mmseg_ddu.apis import DriftMonitor
from mmseg_ddu.core.drift import DriftDetector

from .manifests import rows, write


def alarms(lines):
    return [(x['number'], a) for x in lines for a in x['alarms']]


def test_classes_of_one_name_are_watched_each(tmp_path, reference, state):
    """As they are under names of their own."""
    parts = rows(60, seed=2), rows(30, seed=3, prefix='b', cat=0.4)
    found = {}
    for name, classes in (('alike', ['x', 'x']), ('other', ['x', 'y'])):
        same = dict(classes=classes)
        ordinary = write(tmp_path / 'ordinary', rows(100), **same)
        streams = [
            write(tmp_path / str(number), part, **same)
            for number, part in enumerate(parts)
        ]
        path = state.with_name(f'{name}.json')
        DriftMonitor(path, ordinary).watch(streams[:1])
        lines = DriftMonitor(path, ordinary).watch(streams)
        found[name] = [number for number, _ in alarms(lines)]
    assert found['alike'] == found['other'] != []


@pytest.mark.parametrize(
    'moved, statistic, words',
    [
        (dict(novelty=8), 'image_novelty', 'look less like the training'),
        (dict(novelty=-3), 'image_novelty', 'look more like the training'),
        (dict(unusual=0.3), 'unusual_share', 'More unusual pixels: '),
        (dict(cat=0.4), 'class cat', 'More pixels of class cat: '),
        (dict(cat=-1), 'class cat', 'Fewer pixels of class cat: 0'),
    ],
)
def test_an_alarm_says_what_changed(
    moved, statistic, words, tmp_path, reference, state
):
    old = write(tmp_path / 'old', rows(60, seed=2))
    new = write(tmp_path / 'new', rows(30, seed=3, prefix='b', **moved))
    found = alarms(DriftMonitor(state, reference).watch([old, new]))
    number, _ = found[0]
    assert 60 <= number < 75
    named = [a for _, a in found if a['statistic'] == statistic]
    assert words in named[0]['words']
    assert named[0]['since'].startswith(('b', 'a005'))
    assert 1 <= len(named[0]['images']) <= 5
    assert named[0]['rose'] == (named[0]['now'] > named[0]['before'])


@pytest.mark.parametrize(
    'noise, changed, words',
    [
        (5, True, 'structure has changed: noise, blur or compression. See b'),
        (0, False, 'structure is as before: rather light or colours. See b'),
        (None, None, ' before. See b'),
    ],
)
def test_an_alarm_of_the_novelty_says_of_what(
    noise, changed, words, tmp_path, reference, state
):
    moved = rows(20, seed=3, prefix='b', novelty=8, noise=noise or 0)
    if noise is None:  # an export of before, or images without numbers
        moved = [dict(row, image_statistics=[]) for row in moved]
    stream = write(tmp_path / 'new', moved)
    found = alarms(DriftMonitor(state, reference).watch(stream))
    _, alarm = next(x for x in found if x[1]['statistic'] == 'image_novelty')
    assert alarm['fine_structure_changed'] is changed
    assert words in alarm['words']


def test_images_that_look_more_ordinary_have_no_cause(
    tmp_path, reference, state
):
    moved = rows(60, seed=3, prefix='b', novelty=-4, noise=5)
    found = alarms(
        DriftMonitor(state, reference).watch(write(tmp_path / 'x', moved))
    )
    words = [a['words'] for _, a in found if a['statistic'] == 'image_novelty']
    assert words and not any('fine structure' in each for each in words)


def test_without_a_reference_what_was_before_decides(tmp_path, state):
    old = write(tmp_path / 'old', rows(100, seed=2))
    new = rows(30, seed=3, prefix='b', novelty=8, noise=5)
    new = write(tmp_path / 'new', new)
    found = alarms(DriftMonitor(state).watch([old, new]))
    _, alarm = next(x for x in found if x[1]['statistic'] == 'image_novelty')
    assert alarm['fine_structure_changed'] is True


def test_ordinary_images_give_no_alarm(tmp_path, reference, state):
    stream = write(tmp_path / 'stream', rows(400, seed=5))
    lines = DriftMonitor(state, reference).watch(stream)
    assert len(lines) == 400 and not alarms(lines)


def test_it_is_the_detector_on_the_numbers_of_the_manifest(
    tmp_path, reference, state
):
    stream = rows(20, seed=2, cat=0.1)
    lines = DriftMonitor(state, reference).watch(
        write(tmp_path / 'stream', stream)
    )

    def numbers(row):
        pixels = row['class_pixels']
        shares = [pixels.get(str(c), 0) / 10_000 for c in range(3)]
        values = [row['image_novelty'], row['unusual_share'], *shares]
        return np.array([float(f'{value:.4g}') for value in values])

    manifest = json.loads((reference / 'manifest.json').read_text())
    ordinary = np.stack([numbers(row) for row in manifest['images']])
    detector = DriftDetector([3, 3, 1, 1, 1], 0.001, ordinary)
    for row, line in zip(stream, lines, strict=True):
        step = detector.update(numbers(row))
        assert list(line['p'].values()) == pytest.approx(step.p, rel=1e-3)
        level = list(line['level'].values())
        assert level == pytest.approx(step.level, rel=1e-3)


def test_images_left_out_and_lost_pixels_are_named(tmp_path, reference, state):
    images = rows(4, seed=2)
    images[1] = dict(name='<b>gone', image='x.png', error='cut off')
    images[2]['lost_share'] = 0.25
    stream = write(tmp_path / 'stream', images)
    lines = DriftMonitor(state, reference).watch(stream)
    assert lines[1]['error'] == 'cut off' and 'p' not in lines[1]
    assert lines[2]['lost_share'] == 0.25
    page = state.with_suffix('.html').read_text()
    assert '&lt;b&gt;gone: cut off' in page and '<b>gone' not in page
    assert '25.00%' in page
    # The gap does not count.
    other = DriftMonitor(tmp_path / 'other.json', reference).watch(
        write(tmp_path / 'rest', [images[0], *images[2:]])
    )
    assert other[1]['level'] == lines[2]['level']


def test_the_page_needs_nothing_else(tmp_path, reference, state):
    new = write(tmp_path / 'new', rows(30, seed=3, novelty=8))
    lines = DriftMonitor(state, reference).watch(new)
    page = state.with_suffix('.html').read_text()
    assert page.count('<polyline') == 5
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    points = re.findall(r'points="([^"]*)"', page)[0].split()
    assert len(points) == len(lines)
    for _, alarm in alarms(lines):
        assert alarm['words'] in page


def test_without_a_reference(tmp_path, state, caplog):
    old, new = rows(80, seed=2), rows(20, seed=3, prefix='b', novelty=9)
    stream = write(tmp_path / 'stream', old + new)
    monitor = DriftMonitor(state)
    with pytest.MonkeyPatch.context() as patch:
        warned = []
        patch.setattr(
            'mmengine.logging.MMLogger.warning',
            lambda self, text: warned.append(text),
        )
        found = alarms(monitor.watch(stream))
    assert any('only approximate' in text for text in warned)
    assert 80 <= found[0][0] < 90
    # What was strange from the first image on shows in the novelty.
    strange = write(tmp_path / 'strange', rows(20, seed=4, novelty=12))
    found = alarms(DriftMonitor(tmp_path / 'b.json').watch(strange))
    assert found[0][1]['statistic'] == 'image_novelty'
    assert found[0][1]['before'] is None


def test_one_image(tmp_path, state, reference):
    one = write(tmp_path / 'one', rows(1, seed=2))
    (line,) = DriftMonitor(state, reference).watch(one)
    assert line['number'] == 0 and not line['alarms']
    (line,) = DriftMonitor(tmp_path / 'b.json').watch(one)
    assert all(0 < p <= 1 for p in line['p'].values())


def test_the_tool(tmp_path, reference, state, monkeypatch, capsys):
    """Exit codes, and words on the screen."""
    tool = Path(__file__).parents[3] / 'tools' / 'monitor.py'
    left_out = dict(name='gone', image='x.png', error='cut off')
    days = [
        write(tmp_path / 'a', rows(20, seed=2)),
        write(tmp_path / 'b', [*rows(2, seed=3, prefix='b'), left_out]),
        write(tmp_path / 'c', rows(9, seed=4, prefix='c', novelty=9)),
        write(tmp_path / 'd', rows(1, prefix='d'), tta=True),
    ]

    def run(*manifests):
        words = [tool, *manifests, '--reference', reference, '--state', state]
        monkeypatch.setattr('sys.argv', [str(word) for word in words])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(tool), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    lost = rows(20, seed=2)
    lost[3]['lost_share'] = 0.25
    write(days[0], lost)
    code, out, _ = run(days[0])
    assert code == 0 and 'a0003: 25.00% of its pixels have no score' in out
    code, out, _ = run(*days[:2])
    assert code == 1 and 'Left out: gone: cut off' in out
    assert '3 new images, 1 left out, 0 with an alarm; 23 in all' in out
    code, out, _ = run(*days[:3])
    assert (
        code == 3
        and 'ALARM at c000' in out
        and re.search('since [bc]000', out)
    )
    # An outage: all that there is could not be read.
    code, out, _ = run(*days[:3], write(tmp_path / 'e', [left_out]))
    assert code == 1 and '1 new images, 1 left out, 0 with an alarm' in out
    code, _, err = run(*days)
    assert code == 2 and 'tta differ' in err and 'Traceback' not in err
