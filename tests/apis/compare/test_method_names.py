"""``NAME=CHECKPOINT[,CHECKPOINT…]``."""

from pathlib import Path

import pytest

from mmseg_ddu.apis.compare.method_names import parse_method, parse_methods


@pytest.mark.parametrize(
    ('text', 'kind', 'passes', 'drop', 'rows'),
    [
        ('msp=a.pth', 'single', 1, None, ['msp']),
        ('ddu=a.pth', 'ddu', 1, None, ['ddu-epistemic', 'ddu-total']),
        ('ddu-class-polar=a.pth', 'ddu', 1, None, None),
        ('mc_dropout=a.pth', 'mc_dropout', 10, None, None),
        ('mc_dropout5-backbone=a.pth', 'mc_dropout', 5, 0.1, None),
        ('mc_dropout5-backbone0.25=a.pth', 'mc_dropout', 5, 0.25, None),
        ('ensemble=a.pth,b.pth,c.pth', 'ensemble', 3, None, None),
    ],
)
def test_methods(text, kind, passes, drop, rows):
    method = parse_method(text)
    name, _, files = text.partition('=')
    expected = (kind, passes, drop)
    assert (method.kind, method.passes, method.dropout_p) == expected
    assert method.checkpoints == tuple(map(Path, files.split(',')))
    parts = ('epistemic', 'total') if kind == 'ddu' else ('mi', 'pe')
    assert list(method.rows) == (rows or [f'{name}-{p}' for p in parts])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('entropy', 'NAME=CHECKPOINT'),
        ('=a.pth', 'NAME=CHECKPOINT'),
        ('dropout=a.pth', 'Unknown method'),
        ('mc_dropout1=a.pth', 'no mutual information'),
        ('ensemble=a.pth', 'at least 2'),
        ('ddu=a.pth,b.pth', 'one checkpoint'),
    ],
)
def test_errors(text, message):
    with pytest.raises(ValueError, match=message):
        parse_method(text)


def test_names_are_unique():
    with pytest.raises(ValueError, match='given twice'):
        parse_methods(['ddu=a.pth', 'ddu=b.pth'])
    with pytest.raises(ValueError, match='at least one'):
        parse_methods([])


def test_the_first_densities_have_the_constant_row():
    texts = ['entropy=a.pth', 'ddu-x=a.pth', 'ddu-y=a.pth']
    entropy, first, second = parse_methods(texts)
    assert first.rows['constant-per-image'] == 'image_novelty'
    assert list(second.rows) == ['ddu-y-epistemic', 'ddu-y-total']
    assert list(entropy.rows) == ['entropy']
