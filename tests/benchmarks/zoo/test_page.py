"""The page of the results is that of the committed results."""

import json
from pathlib import Path

from benchmarks.zoo.page import headline, page

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_that_of_the_results():
    result = json.loads((ROOT / 'results' / 'zoo_coverage.json').read_text())
    assert (ROOT / 'docs' / 'zoo_coverage.md').read_text() == page(result)
    refused = sum(result['refused'].values())
    runs = result['works'] + refused + result['error']
    assert result['error'] == 0
    assert result['works'] >= 0.85 * runs > 0
    assert result['tried'] == len(result['rows'])


def test_headline_says_how_much_was_tried():
    result = dict(
        mmseg='1.0',
        configs=10,
        tried=5,
        models=4,
        works=3,
        refused={'why': 1},
        error=0,
        unbuildable=1,
    )
    text = headline(result)
    assert '5 of its 10 configs tried, 4 different models' in text
    assert 'of 4 configs that mmseg can run here 3 work (75.0%)' in text
