"""Rankings and monitors, which may come from anywhere."""

import json

import pytest

from mmseg_ddu.apis import DriftMonitor, write_report
from mmseg_ddu.apis.html_report.alarm_links import drift_of
from mmseg_ddu.apis.html_report.ranking import read_ranking, rows_of

from .test_hostile import EVIL
from .test_page import Reader


@pytest.fixture
def state(exports, tmp_path):
    DriftMonitor(tmp_path / 'drift.json').watch(exports['red'])
    return tmp_path / 'drift.json'


def ranking(folder, *lines, head='rank,image,score'):
    path = folder / 'ranking.csv'
    path.write_text('\n'.join([head, *lines]), errors='surrogateescape')
    return path


def test_there_is_no_ranking(tmp_path):
    for path in (tmp_path / 'absent.csv', tmp_path):
        with pytest.raises(FileNotFoundError, match='run tools/rank_images'):
            read_ranking(path)


def test_images_by_path_or_by_a_name_of_only_one(tmp_path):
    path = ranking(
        tmp_path,
        *('1,/a/x.jpg,9,more', '2,/b/x.jpg,8,more', '3,/a/y.jpg,7,more'),
        *('4,/a/z.jpg,6,more', '5,/a/x.jpg,5,twice', '6,\udcff.jpg,4,more'),
        head='rank,image,score,extra',
    )
    found = rows_of(
        dict(
            path='/b/x.jpg',
            name='/elsewhere/y.jpg',
            two_ranked='/elsewhere/x.jpg',
            absent='w.jpg',
            first='/a/x.jpg',
            one='/c/z.jpg',
            other='/d/z.jpg',
            bytes='\udcff.jpg',
        ),
        read_ranking(path),
    )
    ranks = {key: row['rank'] for key, row in found.items()}
    assert ranks == dict(path=2, name=3, first=1, bytes=6)
    assert found['first']['box'] is None and found['first']['label'] == ''


@pytest.mark.parametrize(
    'line',
    [
        'first,,,,,a,1',
        '1,,,,,a,inf',
        '1,2,3,nan,5,a,1',
        '1,2,3,wide,5,a,1',
        '1,,,,,a',
        '1,,,,,"' + '\n' * 200_000 + '",1',
    ],
)
def test_lists_that_are_refused(line, tmp_path):
    head = 'rank,left,top,width,height,image,score'
    with pytest.raises(ValueError, match='is no list of ranked images'):
        read_ranking(ranking(tmp_path, line, head=head))
    read_ranking(ranking(tmp_path, '1,2,3,4,5,a,1', head=head))
    with pytest.raises(ValueError, match='is no list of ranked images'):
        read_ranking(ranking(tmp_path, '1,a', head='rank,image'))


@pytest.mark.parametrize(
    'head, missing',
    [
        ('a,b', 'image, rank, score'),
        ('rank,image', 'score'),
        ('rank;image;score', 'image, rank, score'),
        ('', 'image, rank, score'),
    ],
)
@pytest.mark.parametrize('lines', [(), ('1;a;2',)])
def test_columns_that_are_missing_are_named(head, missing, lines, tmp_path):
    with pytest.raises(ValueError, match=rf'\(missing: {missing}\)\.'):
        read_ranking(ranking(tmp_path, *lines, head=head))


@pytest.mark.parametrize('lines', [(), ('1,a.jpg,1',)])
def test_a_ranking_of_other_images_or_of_none(
    exports, compared, tmp_path, lines
):
    path = ranking(tmp_path, *lines)
    with pytest.raises(ValueError, match='lists none of the images'):
        write_report(exports['red'], ranking=path, out=tmp_path / 'a.html')
    with pytest.raises(ValueError, match='no exported maps for'):
        write_report(compared, ranking=path, out=tmp_path / 'a.html')


def edit(path, change):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    state = json.loads(path.with_suffix('.json').read_text())
    state['log_bytes'] = path.stat().st_size
    path.with_suffix('.json').write_text(json.dumps(state))


def test_words_of_both_do_not_become_html(exports, state, tmp_path):
    def spoil(lines):
        first = lines[0]['name']
        alarm = dict(statistic=EVIL, since=EVIL, words=EVIL)
        lines[0]['alarms'] = [dict(alarm, images=[first, EVIL])]
        lines.append(dict(number=9, name=EVIL, key='', alarms=[], error=EVIL))

    edit(state.with_suffix('.jsonl'), spoil)
    rows = json.loads((exports['red'] / 'manifest.json').read_text())['images']
    image, words = rows[0]['image'], EVIL.replace('"', '""')
    head = 'rank,image,score,label,predicted,kind'
    line = f'1,{image},1,"{words}","{words}","{words}"'
    path = ranking(tmp_path, line, head=head)
    given = dict(ranking=path, monitor=state, out=tmp_path / 'a.html')
    text = write_report(exports['red'], **given).read_text()
    assert '<img src=x' not in text and text.count('alert(1)') > 5
    assert text.count('<script') == 2 + 2 * len(rows)
    reader = Reader(text)
    assert all(link.startswith(('data:', '#')) for link in reader.links)
    data = json.loads(reader.data)
    listed = data['images'][0]['listed']
    assert [listed[k] for k in ('label', 'predicted', 'kind')] == 3 * [EVIL]
    assert data['images'][0]['alarms'] == [f'Alarm: {EVIL}']


def test_a_monitor_of_other_images_and_none(exports, compared, state):
    given = dict(monitor=state, out=state.with_name('a.html'))
    with pytest.raises(ValueError, match='has seen none of the images'):
        write_report(exports['blue'], **given)
    text = write_report(compared, **given).read_text()
    assert 'class="chart"' in text and 'data-image' not in text
    with pytest.raises(FileNotFoundError, match=r'run tools/monitor\.py'):
        drift_of(state.with_name('absent.jsonl'), {}, None)


@pytest.mark.parametrize('name', ['values', 'level'])
def test_a_damaged_log(name, state):
    edit(
        state.with_suffix('.jsonl'), lambda x: x[1][name].pop('unusual_share')
    )
    with pytest.raises(ValueError, match='is damaged'):
        drift_of(state, {}, None)


def test_settings_that_a_page_lacks(state):
    content = json.loads(state.read_text())
    content['settings']['fit'] = {}
    state.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='is damaged'):
        drift_of(state, {}, None)
