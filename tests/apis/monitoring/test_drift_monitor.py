"""The monitor: what it finds, what it says, and what it refuses."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mmseg_ddu.apis import DriftMonitor
from mmseg_ddu.core.drift import DriftDetector
from mmseg_ddu.fileio import alone_at

from .manifests import rows, write


@pytest.fixture
def reference(tmp_path):
    return write(tmp_path / 'reference', rows(150, seed=1, prefix='r'))


@pytest.fixture
def state(tmp_path):
    return tmp_path / 'drift.json'


def alarms(lines):
    return [(x['number'], a) for x in lines for a in x['alarms']]


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


def test_in_parts_it_says_what_it_says_at_once(tmp_path, reference):
    days = [
        write(tmp_path / f'day{n}', rows(20, seed=n, prefix=f'd{n}_', cat=c))
        for n, c in enumerate((0, 0, 0.5))
    ]
    whole = DriftMonitor(tmp_path / 'whole.json', reference)
    expected = whole.watch(days)
    assert alarms(expected)
    parts = tmp_path / 'parts.json'
    got = [DriftMonitor(parts, reference).watch(day) for day in days]
    assert [line for lines in got for line in lines] == expected
    for suffix in ('.json', '.jsonl', '.html'):
        texts = [
            path.with_suffix(suffix).read_text()
            for path in (whole.files.path, parts)
        ]
        assert texts[0] == texts[1]
    # Again: nothing is counted twice.
    assert DriftMonitor(parts, reference).watch(days) == []
    assert DriftMonitor(parts, reference).watch(days[1]) == []
    assert parts.read_text() == whole.files.path.read_text()


def test_a_run_that_was_killed_between_its_files(tmp_path, reference, state):
    day = write(tmp_path / 'day', rows(5, seed=2))
    DriftMonitor(state, reference).watch(day)
    log = state.with_suffix('.jsonl')
    whole = log.read_text()
    log.write_text(whole + '{"number": 5, "na')
    write(day, rows(6, seed=2))
    new = DriftMonitor(state, reference).watch(day)
    assert [line['number'] for line in new] == [5]
    assert log.read_text().startswith(whole)
    assert len([json.loads(x) for x in log.read_text().splitlines()]) == 6


def test_going_back_in_time_is_refused(tmp_path, reference, state):
    images = rows(9, seed=2)
    one, two, three = (
        write(tmp_path / f'{n}', images[3 * n : 3 * n + 3]) for n in range(3)
    )
    DriftMonitor(state, reference).watch([one, two])
    before = state.read_text()
    backwards = write(tmp_path / 'backwards', images[2::-1])
    for stream in ([two, one], [three, one], [backwards], [three, three]):
        with pytest.raises(ValueError, match='goes back in time: a000'):
            DriftMonitor(state, reference).watch(stream)
    assert state.read_text() == before
    assert len(DriftMonitor(state, reference).watch([two, three])) == 3


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


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(checkpoint_sha256='c' * 64), 'checkpoint_sha256 differ'),
        (dict(config_sha256='c' * 64), 'config_sha256 differ'),
        (dict(tta=True), 'tta differ'),
        (dict(classes=['road', 'dog', 'tree']), 'classes differ'),
        (dict(checkpoint_sha256=None), 'does not say which checkpoint'),
        (dict(images=[]), 'lists no exported image'),
        (dict(images=[dict(name='x', error='y')]), 'lists no exported image'),
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
        dict(class_pixels={'200': 3}),
    ],
)
def test_odd_numbers_and_names(changes, tmp_path, reference, state):
    images = rows(2, seed=2)
    images[0].update(changes)
    lines = DriftMonitor(state, reference).watch(write(tmp_path / 'a', images))
    assert len(lines) == 2
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
        dict(files={'class': '../class/a.png'}),
        dict(files={'class': 'class/../../a.png'}),
    ],
)
def test_hostile_rows(changes, tmp_path, state):
    images = rows(2, seed=2)
    images[0].update(changes)
    with pytest.raises(ValueError, match='damaged|outside'):
        DriftMonitor(state).watch(write(tmp_path / 'a', images))


@pytest.mark.parametrize('part', ['values', 'p', 'level', 'lost_share'])
def test_a_log_that_lacks_what_is_watched(part, tmp_path, reference, state):
    stream = write(tmp_path / 'a', rows(3, seed=2))
    DriftMonitor(state, reference).watch(stream)
    log = state.with_suffix('.jsonl')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    if part == 'lost_share':
        lines[1][part] = None
    else:
        del lines[1][part]['class cat']
    log.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    content = dict(json.loads(state.read_text()))
    content['log_bytes'] = log.stat().st_size
    state.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='damaged or gone'):
        DriftMonitor(state, reference).watch(stream)


def test_one_monitor_at_a_time(tmp_path, reference, state):
    stream = write(tmp_path / 'a', rows(3, seed=2))
    with (
        alone_at(state),
        pytest.raises(OSError, match='Another process is at work'),
    ):
        DriftMonitor(state, reference).watch(stream)
    assert not state.exists()
    assert len(DriftMonitor(state, reference).watch(stream)) == 3


def test_a_reference_of_the_stream(tmp_path, reference, state):
    with pytest.raises(ValueError, match='r0000 is also in the reference'):
        DriftMonitor(state, reference).watch(reference)


def test_a_state_of_other_settings_or_damaged(tmp_path, reference, state):
    stream = write(tmp_path / 'a', rows(3, seed=2))
    DriftMonitor(state, reference).watch(stream)
    with pytest.raises(ValueError, match='false_alarms differ'):
        DriftMonitor(state, reference, false_alarms=0.01).watch(stream)
    with pytest.raises(ValueError, match='reference differ'):
        DriftMonitor(state).watch(stream)
    good = state.read_text()
    content = json.loads(good)
    for changed in (
        good[:-9],
        '[]',
        json.dumps(dict(content, detector={})),
        json.dumps(dict(content, log_bytes=-1)),
        *(
            json.dumps(dict(content, detector={**content['detector'], **part}))
            for part in (dict(rows=7), dict(seen=2), dict(seen='x'))
        ),
    ):
        state.write_text(changed)
        with pytest.raises(ValueError, match='damaged'):
            DriftMonitor(state, reference).watch(stream)
    state.write_text(good)
    state.with_suffix('.jsonl').write_text('')
    with pytest.raises(ValueError, match='damaged or gone'):
        DriftMonitor(state, reference).watch(stream)
    state.unlink()
    with pytest.raises(ValueError, match='no .*drift.json that it could'):
        DriftMonitor(state, reference).watch(stream)
    with pytest.raises(ValueError, match=r'ends in \.json'):
        DriftMonitor(tmp_path / 'a.html')


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
    code, _, err = run(*days)
    assert code == 2 and 'tta differ' in err and 'Traceback' not in err


@pytest.mark.parametrize('rate', [0, 1, -1, float('nan')])
def test_a_rate_that_is_none(rate, tmp_path, reference, state):
    with pytest.raises(ValueError, match='rate above 0 and below 1'):
        DriftMonitor(state, reference, false_alarms=rate).watch(
            write(tmp_path / 'a', rows(1, seed=2))
        )
