"""The headline of a data set is of one promise, and of one form of it."""

import json
from pathlib import Path

import pytest

from benchmarks.decisions.abstention import headline

RESULTS = Path(__file__).parents[3] / 'results' / 'decisions.json'


def entry(error_without):
    """Its figures say which promise, form and score they are of."""

    def figures(*of, reached=1.0):
        names = 'mean_error', 'share_of_splits_kept', 'coverage'
        return dict({n: (n, *of) for n in names}, share_reached=reached)

    promises = [
        dict(
            promise=promise,
            confidence=confidence,
            scores=dict(
                total=figures('total', promise, confidence, reached=reached),
                energy=figures('energy', promise, confidence),
            ),
        )
        for promise in (0.02, 0.05, 0.1)
        for confidence, reached in ((None, 0.8), (0.9, 0.5))
    ]
    return dict(error_without=error_without, promises=promises)


@pytest.mark.parametrize(
    'error_without, promise', [(0.07, 0.05), (0.05, 0.02), (0.2, 0.1)]
)
def test_all_of_one_form(error_without, promise):
    found = headline(entry(error_without))
    surer = found.pop('with_confidence')
    assert surer.pop('confidence') == 0.9
    for form, confidence, reached in ((found, None, 0.8), (surer, 0.9, 0.5)):
        of = promise, confidence
        assert form == dict(
            promise=promise,
            mean_error=('mean_error', 'total', *of),
            share_of_splits_kept=('share_of_splits_kept', 'total', *of),
            share_reached=reached,
            coverage={s: ('coverage', s, *of) for s in ('total', 'energy')},
        )


def test_nothing_is_said_of_what_was_not_reached():
    measured = entry(0.03)
    measured['promises'][1]['scores']['total']['share_reached'] = 0.0
    surer = headline(measured)['with_confidence']
    assert surer['mean_error'] is surer['share_of_splits_kept'] is None


def test_where_nothing_has_to_be_refused():
    assert headline(entry(0.01)) == {}


def test_results_have_their_headline():
    entries = json.loads(RESULTS.read_text())['abstention']
    assert entries
    for name, each in entries.items():
        first = headline(each)
        assert {key: each.get(key) for key in first} == first, name
