"""The tables of the page about training."""

from benchmarks.tables import with_tables
from benchmarks.training.page import COLUMNS, PAGE, TABLES, measured


def test_the_page_has_the_measured_figures():
    """``python -m benchmarks.training.page`` writes them."""
    text = PAGE.read_text()
    assert '<!-- figures: training -->' in text
    assert with_tables(text, TABLES, measured()) == text


def test_spreads_that_are_known():
    figures = dict.fromkeys(COLUMNS, 0.5)
    spreads = dict.fromkeys((f'{key}_std' for key in COLUMNS), None)
    spreads.update(miou_std=0.04, shifts_std=0.0123)
    figures.update(spreads, seconds_per_iteration=None, seeds=[0, 1])
    table = TABLES['pruning'](dict(pruning=dict(voc5=dict(plain=figures))))
    assert table.splitlines()[-1] == (
        '| VOC animals, plain | 2 | 0.5 ± 0.0 | .500 | .500 | .500 | .500 | '
        '.500 ± .012 | 0.5 |  |'
    )


def test_directions_of_both_images_stand_in_one_row():
    found = dict(
        ratios=[0.0123, 0.0],
        converged=[True, False],
        products=[61, 101],
        path=[[[0.1, 9, 9], [0.15, 0.25, 0.05]], [[0.15, 12.3, 1.0]]],
        scores=[[1.25, -2.0], [0, 0.04]],
    )
    other = dict(found, path=[], scores=[])
    taps = {
        'penultimate': dict(flattest=found),
        'backbone[0]': dict(flattest=other),
    }
    table = TABLES['directions'](dict(distances=dict(cgnet_camvid11=taps)))
    assert table.splitlines()[2:] == [
        '| CGNet, the feature | .012, 0 | 61, stopped | .25, 12 | .05, 1 | '
        '1.2 → -2.0, 0.0 → 0.0 |',
        '| CGNet, `backbone[0]` | .012, 0 | 61, stopped |  |  |  |',
    ]
