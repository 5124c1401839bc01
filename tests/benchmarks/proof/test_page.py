"""Tables of the proof, on their pages and by hand."""

import json

import pytest

from benchmarks.proof.page import FIGURES, PAGES, TABLES
from benchmarks.tables import with_tables


@pytest.mark.parametrize('page', PAGES)
def test_pages_have_the_measured_figures(page):
    """``python -m benchmarks.proof.page`` writes them."""
    text = page.read_text()
    assert with_tables(text, TABLES, json.loads(FIGURES.read_text())) == text


def rows(table):
    lines = [line[2:-2].split(' | ') for line in table.splitlines()]
    return {row[0]: row[1:] for row in lines}


def network(**scores):
    unknown = dict(near=0.5, near_std=0.25)
    return dict(
        rows={
            row: dict(errors=m, errors_std=s, unknown=unknown)
            for row, (m, s) in scores.items()
        }
    )


def test_scores_stand_side_by_side():
    results = dict(
        networks=dict(
            deeplabv3plus_mnv2_camvid9=network(
                total=(0.75, 0.0625), ensemble=(0.875, 0.03125)
            ),
            deeplabv3_mnv2_voc21=network(
                total=(1.0, 0.125), knn=(0.25, 0.0078125)
            ),
        )
    )
    assert rows(TABLES['errors'](results)) == {
        'score': ['VOC', 'with members'],
        '---': ['---', '---'],
        'total': ['1.000', '.750'],
        'kNN': ['.250', ''],
        'ensemble': ['', '.875'],
        'largest spread over seeds': ['.125', '.062'],
    }
    assert rows(TABLES['unknown objects'](results))['total'] == ['.500'] * 2


def test_spreads_above_the_bar_are_bold():
    spreads = dict(errors=0.0101, near=0.0099)
    found = {key: dict(spread=value) for key, value in spreads.items()}
    maps = dict.fromkeys(('aleatoric', 'epistemic', 'total'), found)
    fits = dict(deeplabv3plus_mnv2_voc5=maps)
    sizes = {'100 images': fits, '400 images': fits}
    table = rows(TABLES['seeds']({'seeds': sizes}))
    for size in sizes:
        row = table[f'animals, shorter, total, {size}']
        assert row == ['**.0101**', '.0099']


def test_a_table_that_is_none_is_an_error():
    with pytest.raises(ValueError, match='Expected a table of'):
        with_tables('<!-- figures: nothing -->\n', TABLES, {})
