"""The state and the log: resumed, killed, damaged."""

import json

import pytest

from mmseg_ddu.apis import DriftMonitor
from mmseg_ddu.fileio import alone_at

from .manifests import rows, write


def test_in_parts_it_says_what_it_says_at_once(tmp_path, reference):
    days = [
        write(tmp_path / f'day{n}', rows(20, seed=n, prefix=f'd{n}_', cat=c))
        for n, c in enumerate((0, 0, 0.5))
    ]
    whole = DriftMonitor(tmp_path / 'whole.json', reference)
    expected = whole.watch(days)
    assert any(line['alarms'] for line in expected)
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


@pytest.mark.parametrize('suffix', ['.json', '.jsonl', '.html'])
def test_a_folder_in_the_place_of_a_file(state, suffix):
    """Which is said before any manifest is read."""
    state.with_suffix(suffix).mkdir()
    message = f'drift{suffix}: it is a folder. Name a file in it'
    with pytest.raises(IsADirectoryError, match=message):
        DriftMonitor(state, 'absent')
