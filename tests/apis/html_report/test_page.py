"""The file: self-contained, complete, safe to fill."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest

from mmseg_ddu.apis import write_report
from mmseg_ddu.apis.html_report import page as page_module
from mmseg_ddu.apis.html_report.comparison import best_of, comparison
from mmseg_ddu.apis.html_report.page import script_json
from tests.apis.test_tools import call


class Reader(HTMLParser):
    """Links, the data, and the text of all table cells."""

    def __init__(self, text):
        super().__init__()
        self.links, self.data, self.title, self.inside = [], '', '', None
        self.tags = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.links += [attrs[k] for k in ('src', 'href') if k in attrs]
        self.inside = 'data' if attrs.get('id') == 'data' else tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == 'data':
            self.data += data
        elif self.inside == 'title':
            self.title += data


def test_nothing_but_the_file_is_needed(page):
    text = page.read_text()
    reader = Reader(text)
    assert len(reader.links) > 5
    assert all(link.startswith(('data:', '#')) for link in reader.links)
    assert 'data:' not in reader.data  # pictures stand by themselves
    assert not re.search(r'@import|url\(|https?://|fetch\(', text)


def test_text_is_escaped(page):
    reader = Reader(page.read_text())
    assert reader.title == 'A </title> & more'
    assert 'b' not in reader.tags  # of the checkpoint's name
    assert 'absent' in page.read_text()
    assert len(json.loads(reader.data)['methods']) == 2
    hostile = script_json({'a': '</script><!--', 'b': [float('nan')]})
    assert '<' not in hostile
    assert json.loads(hostile) == {'a': '</script><!--', 'b': [None]}


@pytest.fixture(scope='module')
def content(compared):
    return comparison(compared)


def test_the_table_is_that_of_the_comparison(compared, content):
    with open(compared / 'table.csv') as file:
        rows = list(csv.reader(file))[1:]
    assert [row['name'] for row in content['rows']] == [r[0] for r in rows]
    for row, expected in zip(content['rows'], rows):
        found = [cell['value'] for cell in row['cells']]
        assert found == [float(x) if x else None for x in expected[1:-1]]
    assert set(content['failed']) == {'energy'}
    assert [row['name'] for row in content['rows'] if row['default']] == [
        'ddu-total'
    ]


def test_curves_are_drawn_where_there_are_none(compared, content):
    figures = content['figures']
    assert len(figures) == 6
    assert all(f['uri'].startswith('data:image/png') for f in figures)
    assert not list(compared.glob('*.png'))


def test_best_is_lowest_for_errors_and_costs():
    assert best_of('miou', [0.1, None, 0.9]) == '0.900'
    assert best_of('held_out_fpr95', [0.1, 0.9]) == '0.100'
    assert best_of('ms', [20.0, 3.0]) == '3.0'
    assert best_of('ece', [0.5, 0.5]) is None


def test_nothing_to_report_and_two_truths(tmp_path, compared):
    with pytest.raises(FileNotFoundError, match='neither results.json'):
        write_report(tmp_path)
    with pytest.raises(ValueError, match='config or masks'):
        write_report(compared, config='a.py', masks=tmp_path)


@pytest.mark.parametrize('count', [0, -1])
def test_a_page_without_images(exports, count, tmp_path):
    with pytest.raises(ValueError, match='max_images to be at least 1, but'):
        write_report(exports['red'], max_images=count, out=tmp_path / 'a.html')


def test_a_folder_in_the_place_of_the_page(exports, tmp_path, monkeypatch):
    """Which is said before anything is read."""
    monkeypatch.setattr(page_module, 'browser', None)
    with pytest.raises(IsADirectoryError, match='it is a folder. Name a file'):
        write_report(exports['red'], out=tmp_path)


def test_the_tool_on_an_export_alone(exports, tmp_path):
    out = tmp_path / 'a.html'
    done = call('report.py', exports['blue'], '--out', out)
    assert done.returncode == 0, done.stderr
    reader = Reader(out.read_text())
    data = json.loads(reader.data)
    assert [method['name'] for method in data['methods']] == ['blue']
    assert 'table' not in reader.tags
