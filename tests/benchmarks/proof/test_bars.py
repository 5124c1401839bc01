"""Bars that are met and missed, on figures by hand."""

import pytest

from benchmarks.proof.bars import BARS, SINGLE_PASS, bar_table, signed


def network(**changes):
    """Every score alike, .7 everywhere, but for some."""
    rows = {}
    for row in (*SINGLE_PASS, 'total', 'random'):
        figures = dict(errors=0.7, shifts_mean=0.7, pui80=0.7)
        figures |= changes.get(row.replace(' ', '_'), {})
        auroc = figures.pop('auroc', 0.7)
        rows[row] = dict(figures, unknown=dict(near=auroc, near_std=0.1))
    shares = dict(aleatoric=0.05, epistemic=0.061, total=0.039)
    return dict(rows=rows, above_95=shares)


def cells(name, **changes):
    lines = bar_table({name: network(**changes)}).splitlines()[2:]
    found = [line.strip('| ').split(' | ') for line in lines]
    return dict(zip(BARS, [each[1] if each[1:] else '' for each in found]))


def test_what_is_met_and_what_is_missed():
    found = cells(
        'deeplabv3_mnv2_voc21',
        epistemic=dict(shifts_mean=0.81, auroc=0.45),
        total=dict(errors=0.695, shifts_mean=0.75, auroc=0.68),
        knn=dict(shifts_mean=0.82),
        max_logit=dict(auroc=0.72),
    )
    values = list(found.values())
    assert values == [
        '+.110',
        '+.110',
        '**-.0100**',
        '+.110',
        '**near .450**',
        '',
        '-.005',
        '+.000',
        '**near -.040 (max logit)**',
        '**+.050**',
        'none',
        '5.0, **6.1**, **3.9**',
    ]
    assert cells('another', total=dict(shifts_mean=0.76))[
        'total less entropy, shifts: .05; trained to the end: .10'
    ] == ('+.060')


def test_a_score_that_is_better_in_everything_is_named():
    better = dict(errors=0.72, shifts_mean=0.72, auroc=0.72)
    key = 'better than total by .01 in everything: none'
    assert cells('a', energy=better)[key] == '**energy**'
    assert cells('a', energy=dict(better, auroc=0.705))[key] == 'none'


@pytest.mark.parametrize(
    'value, text',
    [
        (0.1234, '+.123'),
        (-0.0102, '-.0102'),
        (-0.0098, '-.0098'),
        (0, '+.000'),
    ],
)
def test_figures_at_the_bar_show_one_digit_more(value, text):
    assert signed(value) == text
